# What every host with the role mail has.
postfix:
  shape: relay
