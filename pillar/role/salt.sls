# What every host with the role salt has.
{}
