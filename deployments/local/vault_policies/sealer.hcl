# Signs the audit log; nobody else may.

path "${transit}/sign/audit" { capabilities = ["update"] }
path "${transit}/keys/audit" { capabilities = ["read"] }

# The last seal, kept outside Postgres, so that a cut tail shows.
path "${kv}/data/audit/seal"     { capabilities = ["create", "update", "read"] }
path "${kv}/metadata/audit/seal" { capabilities = ["read"] }

path "${kv}/data/postgres/login" { capabilities = ["read"] }
path "${kv}/data/postgres/app"    { capabilities = ["read"] }
path "${kv}/data/postgres/sealer" { capabilities = ["read"] }

# Look after its own token.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
