# What every host with the role memcache has.
{}
