# Managed by Saltworks: varnish. Local changes are overwritten.
vcl 4.1;

import std;

# --- this level ------------------------------------------------------------------

backend default none;

backend accounts {
    .path = "/run/haproxy/accounts.sock";
    .connect_timeout = 1s;
    .first_byte_timeout = 90s;
    .between_bytes_timeout = 60s;
}

backend blog {
    .path = "/run/haproxy/blog.sock";
    .connect_timeout = 1s;
    .first_byte_timeout = 150s;
    .between_bytes_timeout = 120s;
}

backend docs {
    .path = "/run/haproxy/docs.sock";
    .connect_timeout = 1s;
    .first_byte_timeout = 150s;
    .between_bytes_timeout = 120s;
}

backend hook {
    .path = "/run/haproxy/hook.sock";
    .connect_timeout = 1s;
    .first_byte_timeout = 90s;
    .between_bytes_timeout = 60s;
}

backend mail {
    .path = "/run/haproxy/mail.sock";
    .connect_timeout = 1s;
    .first_byte_timeout = 90s;
    .between_bytes_timeout = 60s;
}

backend search {
    .path = "/run/haproxy/search.sock";
    .connect_timeout = 1s;
    .first_byte_timeout = 90s;
    .between_bytes_timeout = 60s;
}

backend source {
    .path = "/run/haproxy/source.sock";
    .connect_timeout = 1s;
    .first_byte_timeout = 90s;
    .between_bytes_timeout = 60s;
}

backend test {
    .path = "/run/haproxy/test.sock";
    .connect_timeout = 1s;
    .first_byte_timeout = 150s;
    .between_bytes_timeout = 120s;
}

acl purgers {
    "127.0.0.1";
    "<app1>";  # app1.sandbox.wpd.internal
    "<app2>";  # app2.sandbox.wpd.internal
    "<blog1>";  # blog1.sandbox.wpd.internal
    "<salt>";  # salt.sandbox.wpd.internal
}

sub site_recv {
    if (req.http.Host == "accounts.webplatform.test") {
        set req.backend_hint = accounts;
        set req.http.X-Site-Pass = "1";
    } elseif (req.http.Host == "blog.webplatform.test") {
        set req.backend_hint = blog;
    } elseif (req.http.Host == "docs.webplatform.test") {
        set req.backend_hint = docs;
    } elseif (req.http.Host == "hook.webplatform.test") {
        set req.backend_hint = hook;
        set req.http.X-Site-Pass = "1";
    } elseif (req.http.Host == "mail.webplatform.test") {
        set req.backend_hint = mail;
        set req.http.X-Site-Pass = "1";
    } elseif (req.http.Host == "search.webplatform.test") {
        set req.backend_hint = search;
    } elseif (req.http.Host == "source.webplatform.test") {
        set req.backend_hint = source;
        set req.http.X-Site-Pass = "1";
    } elseif (req.http.Host == "test.webplatform.test") {
        set req.backend_hint = test;
    } else {
        return (synth(421));
    }
    # The way to and from the login, at every site.
    if (req.url ~ "^/sso/") {
        set req.http.X-Site-Pass = "1";
    }
}

sub site_session {
    if (req.http.Cookie ~ "(?i)(^|;\s*)[^=;]*(session(_[0-9a-z]+)?|token|userid|sso[^=;]*|wordpress_logged_in[^=;]*|wp-postpass[^=;]*)=") {
        set req.http.X-Site-Pass = "1";
    }
}

sub site_response {
    if (bereq.http.Host == "accounts.webplatform.test") {
    }
    if (bereq.http.Host == "blog.webplatform.test") {
    }
    if (bereq.http.Host == "docs.webplatform.test") {
        if (bereq.url ~ "^/w/rest[.]php/v1/page/") {
            set beresp.ttl = 3600s;
        }
    }
    if (bereq.http.Host == "hook.webplatform.test") {
    }
    if (bereq.http.Host == "mail.webplatform.test") {
    }
    if (bereq.http.Host == "search.webplatform.test") {
    }
    if (bereq.http.Host == "source.webplatform.test") {
    }
    if (bereq.http.Host == "test.webplatform.test") {
        if (bereq.url ~ "^/w/rest[.]php/v1/page/") {
            set beresp.ttl = 3600s;
        }
    }
}

sub site_grace {
    # How old a copy may be that is better than a failure.
    set beresp.grace = 86400s;
}

sub site_failed {
    set beresp.status = 591;
}

# Values that others may not read.
include "private.vcl";

# --- the same everywhere -----------------------------------------------------------

# Managed by Saltworks: varnish. Local changes are overwritten.
#
# What is cached, for whom, and for how long: the same in every level. It needs
# what stands before it (or, in a test, what the test brings):
#
#   acl purgers          who may take a page out of the cache
#   sub site_recv        chooses the backend of req.http.Host, or refuses; sets
#                        req.http.X-Site-Pass where nothing is cached
#   sub site_session     sets req.http.X-Site-Pass where a cookie says: logged in
#   sub site_response    sets beresp.ttl by path, and where the app says nothing
#   sub site_grace       sets beresp.grace: how old a copy is better than a failure
#   sub site_failed      sets beresp.status where the balancer does not answer
#   sub private_recv     what nobody may read here
#
# The address named `purge` is for apps that take pages out; all else comes by the
# other one, from the web server on this host.

sub vcl_recv {
    if (req.restarts == 0) {
        unset req.http.X-Cache;
        unset req.http.X-Failed;
    }
    unset req.http.X-Site-Pass;
    set req.http.Host = regsub(std.tolower(req.http.Host), ":[0-9]+$", "");

    if (local.socket == "purge") {
        if (req.method != "PURGE") {
            return (synth(405));
        }
        if (client.ip !~ purgers) {
            return (synth(403));
        }
        return (purge);
    }

    call private_recv;
    # What the web server wrote; what a client wrote there it has overwritten.
    set req.http.X-Forwarded-For = req.http.X-Client-IP;
    unset req.http.Forwarded;
    unset req.http.X-Real-IP;
    # httpoxy, and headers by which some frameworks let a client choose its path.
    unset req.http.Proxy;
    unset req.http.X-Original-URL;
    unset req.http.X-Rewrite-URL;
    call site_recv;

    if (req.method !~ "^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$") {
        return (synth(405));
    }
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    # Who follows an advertisement reads the same page as others. No app reads these.
    if (req.url ~ "[?&](utm_[a-z]+|gclid|fbclid|msclkid)=") {
        set req.url = regsuball(req.url, "(utm_[a-z]+|gclid|fbclid|msclkid)=[^&]*&?", "");
        set req.url = regsub(req.url, "[?&]+$", "");
    }
    call site_session;
    if (req.http.X-Site-Pass || req.http.Authorization) {
        return (pass);
    }
    # Nobody is logged in: all readers of a page are the same reader.
    unset req.http.Cookie;
    if (req.restarts == 0) {
        # One more reader sees the old copy while a new one is fetched. When the
        # fetch fails, vcl_deliver comes back here, and far older copies do, too.
        set req.grace = 10s;
    } else {
        set req.grace = 1000d;
    }
    return (hash);
}

sub vcl_hash {
    # The same question in another order is the same question, except for lists
    # (a[]=1&a[]=2), whose order may matter.
    if (req.url ~ "(\[|%5[Bb])") {
        hash_data(req.url);
    } else {
        hash_data(std.querysort(req.url));
    }
    hash_data(req.http.Host);
    return (lookup);
}

sub vcl_miss {
    if (req.http.X-Failed) {
        # There was no older copy.
        return (synth(std.integer(req.http.X-Failed, 503)));
    }
}

sub vcl_pass {
    set req.http.X-Cache = "PASS";
}

sub vcl_pipe {
    # Nothing goes by unseen.
    return (synth(405));
}

sub vcl_backend_fetch {
    # Apps that know ESI send a page with holes and fill them one by one.
    set bereq.http.Surrogate-Capability = "edge=ESI/1.0";
    unset bereq.http.X-Cache;
    unset bereq.http.X-Failed;
    unset bereq.http.X-Site-Pass;
    # A connection for each request; it stays on this host. On one that was used before,
    # the balancer takes a failure of the app's host for the end of an idle connection
    # and hangs up, without a word of what went wrong.
    set bereq.http.Connection = "close";
}

sub vcl_backend_response {
    # Another copy was asked for in the background: the old one stays.
    if (bereq.is_bgfetch && beresp.status >= 500) {
        return (abandon);
    }
    if (beresp.http.Surrogate-Control ~ "ESI/1\.0") {
        set beresp.do_esi = true;
    }
    unset beresp.http.Surrogate-Control;
    if (beresp.http.Content-Type ~ "^(text/|application/(javascript|json|xml|.*\+xml|.*\+json)|image/svg)") {
        # Kept compressed, and unpacked for the few who cannot. Holes are filled in
        # compressed pages just as well.
        set beresp.do_gzip = true;
    }
    # Pages do not differ by browser; Varnish itself knows who can read gzip.
    if (beresp.http.Vary) {
        set beresp.http.Vary = regsuball(beresp.http.Vary, "(?i)(^|,)\s*(User-Agent|X-Forwarded-Proto)\s*(?=,|$)", "");
        set beresp.http.Vary = regsub(beresp.http.Vary, "^[,\s]+", "");
        if (beresp.http.Vary == "") {
            unset beresp.http.Vary;
        }
    }
    if (bereq.uncacheable) {
        return (deliver);
    }

    if (beresp.status >= 590 || beresp.status == 502 || beresp.status == 504) {
        # No answer of an app. As an error it does not take the place of an old copy,
        # which vcl_deliver looks for.
        return (error(beresp.status));
    }
    if (beresp.status >= 500) {
        set beresp.uncacheable = true;
        set beresp.ttl = 0s;
        return (deliver);
    }
    if (beresp.http.Set-Cookie || beresp.http.Vary ~ "\*" || beresp.http.Cache-Control ~ "(?i)(private|no-store|no-cache)") {
        # For one reader only. The next ones do not wait in line for each other.
        set beresp.uncacheable = true;
        set beresp.ttl = 120s;
        return (deliver);
    }
    call site_response;
    if (beresp.status >= 400 && beresp.ttl > 5s) {
        # A mistake may be mended any moment.
        set beresp.ttl = 5s;
    }
    if (beresp.ttl <= 0s) {
        set beresp.uncacheable = true;
        set beresp.ttl = 120s;
        return (deliver);
    }
    if (beresp.status < 400) {
        call site_grace;
    }
    return (deliver);
}

sub vcl_backend_error {
    if (beresp.status < 590 && beresp.status != 502 && beresp.status != 504) {
        # The balancer on this host is not there.
        call site_failed;
    }
    set beresp.http.Content-Type = "text/plain";
    set beresp.body = "";
    set beresp.ttl = 0s;
    set beresp.uncacheable = true;
    return (deliver);
}

sub vcl_deliver {
    if (
        (resp.status >= 590 || resp.status == 502 || resp.status == 504)
        && req.restarts == 0 && req.http.X-Cache != "PASS" && req.esi_level == 0
    ) {
        # Perhaps an old copy is there: better than none. Nobody is asked again.
        set req.http.X-Failed = resp.status;
        return (restart);
    }
    unset resp.http.X-Varnish;
    unset resp.http.Via;
    unset resp.http.X-Powered-By;
    if (req.http.X-Cache == "PASS") {
        set resp.http.X-Cache = "PASS";
    } elseif (obj.hits > 0) {
        set resp.http.X-Cache = "HIT";
    } else {
        set resp.http.X-Cache = "MISS";
    }
}

sub vcl_synth {
    set resp.http.Content-Type = "text/plain; charset=utf-8";
    set resp.http.Cache-Control = "no-store";
    unset resp.http.X-Varnish;
    if (resp.status == 405) {
        set resp.http.Allow = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
    }
    set resp.body = resp.reason + {"
"};
    return (deliver);
}

# Managed by Saltworks: varnish. Local changes are overwritten.
#
# Stands after rules.vcl where no other network of caches stands before this one.

sub vcl_deliver {
    # How long this cache may keep a page is not for caches that nobody purges.
    if (resp.http.Cache-Control ~ "(?i)s-maxage") {
        set resp.http.Cache-Control = regsuball(resp.http.Cache-Control, "(?i)(^|,)\s*s-maxage=[^,]*", "");
        set resp.http.Cache-Control = regsub(resp.http.Cache-Control, "^[,\s]+", "");
        if (resp.http.Cache-Control == "") {
            unset resp.http.Cache-Control;
        }
    }
}
