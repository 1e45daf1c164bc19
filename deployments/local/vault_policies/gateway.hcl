# The front door. It faces people, so it may hand credentials in but not read those of bots back.

# Consent writes both tokens of a bot; leaving deletes them. The version (metadata) is what a write is based on.
path "${kv}/data/bots/+/access"      { capabilities = ["create", "update"] }
path "${kv}/data/bots/+/refresh"     { capabilities = ["create", "update"] }
path "${kv}/metadata/bots/+/access"  { capabilities = ["read", "delete"] }
path "${kv}/metadata/bots/+/refresh" { capabilities = ["read", "delete"] }

# An app's client secret is entered here and read here, to exchange a code for tokens.
path "${kv}/data/apps/+/client"     { capabilities = ["create", "update", "read"] }
path "${kv}/metadata/apps/+/client" { capabilities = ["read", "delete"] }
path "${kv}/data/apps/+/next"       { capabilities = ["create", "update"] }

# A consent under way: the PKCE verifier waits here for the owner to come back, and goes once it is used.
path "${kv}/data/consents/+"     { capabilities = ["create", "read"] }
path "${kv}/metadata/consents/+" { capabilities = ["delete"] }

# Its own: signing keys of sessions.
path "${kv}/data/gateway/*"     { capabilities = ["create", "update", "read"] }
path "${kv}/metadata/gateway/*" { capabilities = ["read", "delete", "list"] }

# Credentials of outside services (such as a language model) are entered here and read by the flows that use them.
path "${kv}/data/services/+"     { capabilities = ["create", "update"] }
path "${kv}/metadata/services/+" { capabilities = ["read", "delete"] }

# Where operators are told: entered here, read by who tells them alone.
path "${kv}/data/notifications/+"     { capabilities = ["create", "update"] }
path "${kv}/metadata/notifications/+" { capabilities = ["read", "delete"] }

path "${kv}/data/postgres/login" { capabilities = ["read"] }
path "${kv}/data/postgres/app"     { capabilities = ["read"] }
path "${kv}/data/postgres/gateway" { capabilities = ["read"] }

# A bot's half of the keys of its records: made at the first, read for each, destroyed to forget the bot.
path "${kv}/data/bots/+/record-key"     { capabilities = ["create", "read"] }
path "${kv}/metadata/bots/+/record-key" { capabilities = ["read", "delete"] }

# Bot records, and the check of the audit's seals.
path "${transit}/encrypt/bot-records" { capabilities = ["update"] }
path "${transit}/decrypt/bot-records" { capabilities = ["update"] }
path "${transit}/keys/audit"          { capabilities = ["read"] }
path "${kv}/data/audit/seal"          { capabilities = ["read"] }

# Look after its own token.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
