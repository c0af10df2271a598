# Managed by Saltworks: varnish. Local changes are overwritten.
# What stands before the rules on a real host comes from pillar; this is in its place.
import std;
acl purgers {
    "127.0.0.1";
}
sub site_recv {
    if (req.http.Host == "docs.example.org" || req.http.Host == "127.0.0.1") {
        set req.backend_hint = docs;
        if (req.url ~ "^/never/") {
            set req.http.X-Site-Pass = "1";
        }
    } else {
        return (synth(421));
    }
}
sub site_session {
    if (req.http.Cookie ~ "(?i)(^|;\s*)[^=;]*(session(_[0-9a-z]+)?|token|userid|sso[^=;]*|wordpress_logged_in[^=;]*)=") {
        set req.http.X-Site-Pass = "1";
    }
}
sub site_response {
    if (bereq.url ~ "^/rest/") {
        set beresp.ttl = 3600s;
    }
}
sub site_grace {
    set beresp.grace = 86400s;
}
sub site_failed {
    set beresp.status = 591;
}
sub private_recv {
}
