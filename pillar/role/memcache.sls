# What every host with the role memcache has. Sizes are the duty's: sessions.sls,
# cache.sls, jobs.sls, which come after this file.
memcached: {}
