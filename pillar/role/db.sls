#!jinja|yaml|gpg
# What every host with the role db has.
{%- set level = salt["site_hosts.parse"](opts["id"]).level %}
{%- import_yaml "secrets/" ~ level ~ "/secrets.yaml" as secrets %}
mariadb:
  galera:
    peers: db
  databases:
    wiki: {}
    accounts: {}
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
    # The sessions of who is signed in. The portal's hosts make its tables.
    accounts:
      privileges:
        accounts: [SELECT, INSERT, UPDATE, DELETE, CREATE]
  secrets:
    accounts: {{ secrets["mariadb-accounts"] | json }}
    wiki: {{ secrets["mariadb-wiki"] | json }}
    wiki-admin: {{ secrets["mariadb-wiki-admin"] | json }}
