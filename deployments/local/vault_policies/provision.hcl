# Brings policies, roles, keys and database passwords to the wanted state at each `up`. Used for seconds, with a
# secret-id that is minted for it and never written to disk.

# These files, and only under our prefix.
path "sys/policies/acl/vivesphere-*" { capabilities = ["create", "update", "read"] }

# The roles on our own sign-in mount; secret-ids are the supervisor's.
path "auth/${approle}/role/+"         { capabilities = ["create", "update", "read"] }
path "auth/${approle}/role/+/role-id" { capabilities = ["read"] }

# Keys are made, never deleted nor exported.
path "${transit}/keys/+" { capabilities = ["create", "update", "read"] }

# The database engine: how it reaches the server, which logins it makes, and the kind of token they hang on.
path "${database}/config/vivesphere"      { capabilities = ["create", "update", "read"] }
path "${database}/roles/app"              { capabilities = ["create", "update", "read"] }
path "auth/token/roles/vivesphere-lease"  { capabilities = ["create", "update", "read"] }

# Passwords of the database roles: made at the first `up`, read for migrations (postgres/owner) and at each `up`.
path "${kv}/data/postgres/+"     { capabilities = ["create", "update", "read"] }
path "${kv}/metadata/postgres/+" { capabilities = ["read"] }

# Look after its own token.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
