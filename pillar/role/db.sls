#!jinja|yaml|gpg
# What every host with the role db has.
{%- set level = salt["site_hosts.parse"](opts["id"]).level %}
{%- import_yaml "secrets/" ~ level ~ "/secrets.yaml" as secrets %}
monit:
  programs:
    # A node that has left its cluster for good waits to be started again, and does not
    # hear that it should stop. systemd starts it.
    galera-left:
      command: /usr/local/lib/saltworks/galera-left
      remedy: /usr/bin/systemctl kill --signal=KILL mariadb.service
      every: 1
      times: 3
mariadb:
  galera:
    peers: db
  databases:
    wiki: {}
    testwiki: {}
    accounts: {}
    blog: {}
  users:
    # What the wiki's pages do.
    wiki:
      privileges:
        wiki: [SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES]
    # Installs and upgrades the wiki.
    wiki_admin:
      secret: wiki-admin
      privileges:
        wiki: [ALL PRIVILEGES]
    # The same for the test wiki, in its own database alone.
    testwiki:
      privileges:
        testwiki: [SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES]
    testwiki_admin:
      secret: testwiki-admin
      privileges:
        testwiki: [ALL PRIVILEGES]
    # The sessions of who is signed in. The portal's hosts make its tables.
    accounts:
      privileges:
        accounts: [SELECT, INSERT, UPDATE, DELETE, CREATE]
    # What the blog's pages do.
    blog:
      privileges:
        blog: [SELECT, INSERT, UPDATE, DELETE]
    # Installs and upgrades the blog.
    blog_admin:
      secret: blog-admin
      privileges:
        blog: [ALL PRIVILEGES]
  secrets:
    accounts: {{ secrets["mariadb-accounts"] | json }}
    blog: {{ secrets["mariadb-blog"] | json }}
    blog-admin: {{ secrets["mariadb-blog-admin"] | json }}
    testwiki: {{ secrets["mariadb-testwiki"] | json }}
    testwiki-admin: {{ secrets["mariadb-testwiki-admin"] | json }}
    wiki: {{ secrets["mariadb-wiki"] | json }}
    wiki-admin: {{ secrets["mariadb-wiki-admin"] | json }}
