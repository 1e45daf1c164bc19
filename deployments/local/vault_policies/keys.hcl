# The one refresher of tokens, and the rotation of keys.

path "${kv}/data/bots/+/access"      { capabilities = ["create", "update", "read"] }
path "${kv}/data/bots/+/refresh"     { capabilities = ["create", "update", "read"] }
path "${kv}/metadata/bots/+/access"  { capabilities = ["read"] }
path "${kv}/metadata/bots/+/refresh" { capabilities = ["read"] }

# An app's next client secret is tested, then takes the place of the one in use, which is destroyed after its grace.
path "${kv}/data/apps/+/client"     { capabilities = ["create", "update", "read"] }
path "${kv}/metadata/apps/+/client" { capabilities = ["read"] }
path "${kv}/destroy/apps/+/client"  { capabilities = ["update"] }
path "${kv}/data/apps/+/next"       { capabilities = ["read"] }
path "${kv}/metadata/apps/+/next"   { capabilities = ["delete"] }

# A consent under way: the PKCE verifier waits here for the owner to come back, and goes once it is used.
path "${kv}/data/consents/+"     { capabilities = ["create", "read"] }
path "${kv}/metadata/consents/+" { capabilities = ["delete"] }

# Its own: the key that fingerprints a refresh attempt, and the probe that a write works before X is asked.
path "${kv}/data/keys/*"     { capabilities = ["create", "update", "read"] }
path "${kv}/metadata/keys/*" { capabilities = ["read"] }

# The escrow of new tokens: anybody seals to the public half, this role alone opens.
path "${transit}/keys/token-escrow"    { capabilities = ["read"] }
path "${transit}/decrypt/token-escrow" { capabilities = ["update"] }

# The keys that sign access tokens: a new one comes in, an old one goes.
path "${kv}/data/gateway/jwt"     { capabilities = ["update", "read"] }
path "${kv}/metadata/gateway/jwt" { capabilities = ["read"] }

# Database logins: one is made with a token of its own, which this role may make of that one kind; renewed and ended.
path "auth/token/create/vivesphere-lease" { capabilities = ["update"] }
path "auth/token/renew-accessor"          { capabilities = ["update"] }
path "auth/token/revoke-accessor"         { capabilities = ["update"] }
path "sys/leases/renew"                   { capabilities = ["update"] }
path "${kv}/data/postgres/login"          { capabilities = ["create", "update", "read"] }
path "${kv}/data/postgres/login-next"     { capabilities = ["create", "update", "read"] }
path "${kv}/metadata/postgres/login"      { capabilities = ["read"] }

path "${kv}/data/postgres/app"  { capabilities = ["read"] }
path "${kv}/data/postgres/keys" { capabilities = ["read"] }

# Rotation of the key of bot records: new version, old texts wrapped again; never a look inside.
path "${transit}/keys/bot-records"        { capabilities = ["read"] }
path "${transit}/keys/bot-records/rotate" { capabilities = ["update"] }
path "${transit}/rewrap/bot-records"      { capabilities = ["update"] }
path "${transit}/keys/bot-records/config" {
  capabilities       = ["update"]
  allowed_parameters = { "min_decryption_version" = [] }
}

# Look after its own token.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
