"""The one refresher of tokens, on real parts."""
