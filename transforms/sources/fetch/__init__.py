"""Files from the web: `format: urls` reads a list of addresses, fetches what is due, and keeps it in a cache on disk.

`settings` are the options. `connection` opens one connection and refuses private networks. `robots` knows what a host allows.
`visit` gets one address through redirects and retries. `stored` is the cache. `fetch` visits a list of addresses, host by host.
"""
