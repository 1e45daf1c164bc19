# Posting runs. They hold what lets a bot post for two hours, never what would get more of it.

path "${kv}/data/bots/+/access" { capabilities = ["read"] }

path "${kv}/data/postgres/login" { capabilities = ["read"] }
path "${kv}/data/postgres/app"    { capabilities = ["read"] }
path "${kv}/data/postgres/poster" { capabilities = ["read"] }

# Look after its own token.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
