# Reports, trends, notifications: nothing of a bot.

path "${kv}/data/postgres/reader" { capabilities = ["read"] }
path "${kv}/data/services/+"      { capabilities = ["read"] }
path "${kv}/data/notifications/+" { capabilities = ["read"] }

# The check of the audit's seals.
path "${transit}/keys/audit" { capabilities = ["read"] }
path "${kv}/data/audit/seal" { capabilities = ["read"] }

# Look after its own token.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
