# What every host with the role sessions has.
{}
