# Puts a copy in the place of everything the vault holds, this policy included. It exists in the empty vault that a
# restore begins with, and in no other.

path "sys/storage/raft/snapshot-force" { capabilities = ["update"] }

# Look after its own token.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
