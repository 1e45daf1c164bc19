# The token that a database login hangs on, and nobody signs in with: it lives as long as the login is renewed, and the
# login goes with it.

path "${database}/creds/app" { capabilities = ["read"] }
