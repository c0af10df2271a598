# What every host with the role redis has.
{}
