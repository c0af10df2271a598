# What every host with the role cache has.
{}
