# Makes a new version of an index of the search engine, from the template that the
# states keep, while searches and writes go on; then removes the old one. Run it on
# the master after the template (salt/opensearch/index.yaml) has changed and
# orch.up has brought it to the hosts:
#
#     salt-run state.orchestrate orch.search_reindex pillar='{"index": "wiki"}'
#
# A run that was cut short is finished by the next: docs/runbooks/search-reindex.md.
{%- set hosts = salt["site_hosts.accepted"](roles="elastic") %}
{%- set index = pillar.get("index", "") %}
{%- if not hosts %}
{%-   do raise("no host with the role elastic is accepted: there is nothing to reindex") %}
{%- endif %}
{%- if not index %}
{%-   do raise("say which index: pillar='{\"index\": \"wiki\"}'") %}
{%- endif %}

every search node is well:
  salt.function:
    - name: site_opensearch.wait
    - tgt: {{ hosts | json }}
    - tgt_type: list
    - timeout: 90
    - kwarg: {seconds: 60, nodes: {{ hosts | length }}}
    - failhard: True

the documents of {{ index }} are in a new index and the alias leads to it:
  salt.function:
    - name: site_opensearch.reindex
    - tgt: {{ hosts[:1] | json }}
    - tgt_type: list
    - timeout: 3600
    - arg: [{{ index | json }}]
    - failhard: True

every search node is well after it:
  salt.function:
    - name: site_opensearch.wait
    - tgt: {{ hosts | json }}
    - tgt_type: list
    - timeout: 90
    - kwarg: {seconds: 60, nodes: {{ hosts | length }}}
    - failhard: True
