# Role elastic: the search engine, OpenSearch.
# Owner: data
include:
  - base
  - tls
  - opensearch
