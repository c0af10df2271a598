# What every host with the role frontend has.
nginx:
  tls: true
  sites:
    docs:
      host: docs
      max_body_size: 8m
      upstream:
        role: app
        port: 80
