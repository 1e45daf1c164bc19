# Secret zero: the one identity that lies on disk for good (secrets/vault-supervisor.*). It can hand out the other
# roles and nothing else by itself. Through `provision` it may set their policies, so whoever holds it holds the vault;
# the same is true of the unseal key beside it.

# A fresh secret-id for each process, for provisioning at `up`, and for a backup. Named one by one: never one more for itself.
path "auth/${approle}/role/gateway/secret-id"   { capabilities = ["update"] }
path "auth/${approle}/role/poster/secret-id"    { capabilities = ["update"] }
path "auth/${approle}/role/keys/secret-id"      { capabilities = ["update"] }
path "auth/${approle}/role/sealer/secret-id"    { capabilities = ["update"] }
path "auth/${approle}/role/reader/secret-id"    { capabilities = ["update"] }
path "auth/${approle}/role/provision/secret-id" { capabilities = ["update"] }
path "auth/${approle}/role/backup/secret-id"    { capabilities = ["update"] }
path "auth/${approle}/role/+/role-id"           { capabilities = ["read"] }

# Readiness is judged by a real read, because the health page stays green while the audit log cannot be written.
# Nothing is ever stored there: "missing" is the good answer.
path "${kv}/data/stack/ready" { capabilities = ["read"] }

# Look after its own token.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
