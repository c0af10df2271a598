# What every host with the role app has.
{}
