# What every host with the role frontend has.
{}
