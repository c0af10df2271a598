# What every host with the role db has.
{}
