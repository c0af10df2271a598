# What every host with the role jobs has.
{}
