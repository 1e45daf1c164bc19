# Copies the whole vault as it lies on the disk, encrypted: of no use without the unseal key. Used for seconds, with a
# secret-id that is minted for one backup and never written to disk.

path "sys/storage/raft/snapshot" { capabilities = ["read"] }

# Look after its own token.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
