"""
The configuration of LemonLDAP::NG, made from pillar, and its sessions.
"""

import hashlib
import json
import zlib

from salt.exceptions import CommandExecutionError

NUMBER = 1
SESSIONS = "/usr/share/lemonldap-ng/bin/lemonldap-ng-sessions"
SESSION_COLUMNS = {
    "_whatToTrace": "varchar(64)",
    "_session_kind": "varchar(15)",
    "_utime": "bigint",
    "_httpSessionType": "varchar(64)",
    "_session_uid": "varchar(64)",
    "user": "varchar(128)",
    "mail": "varchar(255)",
    "ipAddr": "varchar(64)",
}
TABLES = ("sessions", "psessions")


def public_key(private):
    """
    The public half of an RSA key.

    private
        PEM, without a password.

    Raises CommandExecutionError for anything else.

    CLI Example:

    .. code-block:: bash

        salt-call site_lemonldap.public_key "$(cat key.pem)"
    """
    from cryptography.hazmat.primitives import serialization

    if "offline" in __opts__ and "BEGIN" not in private:
        # Compiled without a master: the key is a stand-in.
        return ""
    try:
        key = serialization.load_pem_private_key(private.encode(), None)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    except (ValueError, TypeError, AttributeError):
        raise CommandExecutionError(
            "the OpenID signing key is no RSA key in PEM. Remedy: docs/runbooks/rotate-oidc-key.md"
        ) from None
    return public.decode()


def key_id(public):
    """
    A short name of a public key: the same on every host.

    public
        PEM.

    CLI Example:

    .. code-block:: bash

        salt-call site_lemonldap.key_id "$(cat key.pub)"
    """
    return hashlib.sha256("".join(public.split()).encode()).hexdigest()[:16]


def published_key():
    """
    The public half of the key that signs now: to keep it published after a change.

    CLI Example:

    .. code-block:: bash

        salt-call --out=newline_values_only site_lemonldap.published_key
    """
    return public_key(__pillar__["lemonldap-ng"]["secrets"]["oidc_key"])


def client(name, given, domain, sites, secret):
    """
    One relying party, as LemonLDAP::NG wants it.

    name
        The client id.

    given
        Its entry in pillar ``lemonldap-ng:clients``.

    domain, sites
        The site's public domain and the pillar key ``sites``.

    secret
        What the client proves itself with.

    Returns ``{"options", "vars", "rule"}``.

    Raises CommandExecutionError where the site is unknown or there is no secret.

    CLI Example:

    .. code-block:: bash

        salt-call site_lemonldap.client wiki '{site: docs}' example.org '{docs: {}}' secret
    """
    served = [given["site"], *given.get("extra_sites", [])]
    if not secret:
        raise CommandExecutionError(f"lemonldap-ng: pillar secrets has no 'client-{name}'")
    callback = given.get("callback", "sso/callback")
    bases = [f"https://{site}.{domain}/" for site in served]
    prefix = "oidcRPMetaDataOptions"
    options = {
        "ClientID": name,
        "ClientSecret": secret,
        "DisplayName": given.get("title", name),
        "AuthMethod": "client_secret_basic",
        "RequirePKCE": 1,
        "Public": 0,
        "BypassConsent": 1,
        "IDTokenSignAlg": "RS256",
        "IDTokenForceClaims": 1,
        "AccessTokenSignAlg": "RS256",
        "UserIDAttr": "uid",
        # For as long as somebody is signed in here: the gates ask again and again.
        "RefreshToken": 1,
        "AllowOffline": 0,
        "AllowPasswordGrant": 0,
        "AllowClientCredentialsGrant": 0,
        "UserinfoRequireHeaderToken": 1,
        "RedirectUris": " ".join(base + callback for base in bases),
        "PostLogoutRedirectUris": " ".join(bases),
        "LogoutBypassConfirm": 1,
        "LogoutSessionRequired": 1,
        "LogoutType": given.get("logout", "back"),
        "LogoutUrl": f"{bases[0]}{callback}?logout="
        + ("backchannel" if given.get("logout", "back") == "back" else "get"),
    }
    groups = given.get("groups", [])
    if groups:
        options["Rule"] = " or ".join(f'inGroup("{group}")' for group in groups)
    return {
        "options": {prefix + key: value for key, value in options.items()},
        "vars": {
            "preferred_username": "uid",
            "name": "cn",
            "given_name": "givenName",
            "family_name": "sn",
            "email": "mail",
            "groups": "groups;string;always",
        },
    }


def configuration(portal, site, sites, privileged=()):
    """
    The whole configuration, as the one file that LemonLDAP::NG reads.

    portal
        The pillar key ``lemonldap-ng`` with its defaults and its secrets.

    site
        The pillar key ``site``.

    sites
        The pillar key ``sites``.

    privileged
        Groups whose members must have a second factor, on top of the pillar's.

    Returns text (JSON). Its date is made of what is in it, so that a server knows
    another configuration by it, and two hosts have the same.

    Raises CommandExecutionError where a secret is missing.

    CLI Example:

    .. code-block:: bash

        salt-call site_lemonldap.configuration '{…}' '{…}' '{…}'
    """
    secrets = portal["secrets"]
    missing = [
        name for name in ("directory", "database", "key", "oidc_key") if not secrets.get(name)
    ]
    if missing:
        raise CommandExecutionError(f"lemonldap-ng: pillar secrets has no {', '.join(missing)}")
    domain = site["domain"]
    name = f"{portal['host']}.{domain}"
    base = ",".join(f"dc={part}" for part in domain.split("."))
    database, mail = portal["database"], portal["mail"]
    sender = f"{mail['from']}@{domain}"
    public = public_key(secrets["oidc_key"])
    old = portal["oidc"]["old_public_key"]
    store = {
        "DataSource": (
            f"DBI:MariaDB:database={database['name']};host={database['host']};"
            f"port={database['port']};mariadb_ssl=1;mariadb_ssl_ca_file={database['ca']};"
            "mariadb_ssl_verify_server_cert=1;mariadb_connect_timeout=5"
        ),
        "UserName": database["user"],
        "Password": secrets["database"],
        "Commit": 1,
        "Index": " ".join(SESSION_COLUMNS),
        "generateModule": "Lemonldap::NG::Common::Apache::Session::Generate::SHA256",
    }
    required = sorted({*portal["second_factor"]["required_groups"], *privileged})
    clients = {
        client_id: client(client_id, given, domain, sites, secrets.get(f"client-{client_id}"))
        for client_id, given in sorted(portal["clients"].items())
    }
    places = {*sites, *(given["site"] for given in portal["clients"].values())}
    for given in portal["clients"].values():
        places |= set(given.get("extra_sites", []))
    served = sorted({name, *(f"{place}.{domain}" for place in places)})
    made = {
        "cfgAuthor": "Saltworks",
        "cfgLog": "Managed by Saltworks: lemonldap-ng. Local changes are overwritten.",
        "cfgNum": NUMBER,
        "cfgVersion": "2.21.2",
        "key": secrets["key"],
        "checkTime": portal["check_seconds"],
        # --- the portal
        "portal": f"https://{name}/",
        "domain": name,
        # A name that the edge takes for "somebody is signed in".
        "cookieName": "sso",
        "securedCookie": 1,
        "httpOnly": 1,
        "sameSite": "Lax",
        "https": 1,
        "trustedDomains": " ".join(served),
        "locationRules": {"default": {"default": "deny"}},
        "exportedHeaders": {},
        "applicationList": _menu(portal["clients"], domain),
        "portalSkin": "bootstrap",
        "portalSkinBackground": "",
        "portalCustomCss": portal["style"],
        "portalMainLogo": portal["logo"],
        "portalDisplayRegister": 1,
        "portalDisplayResetPassword": 1,
        "portalDisplayChangePassword": 1,
        "portalDisplayLoginHistory": 1,
        "portalDisplayGeneratePassword": 0,
        "portalDisplayRefreshMyRights": 1,
        "portalRequireOldPassword": 1,
        "portalErrorOnExpiredSession": 0,
        "portalAntiFrame": 1,
        "portalPingInterval": 0,
        "languages": "en",
        "showLanguages": 0,
        "corsEnabled": 0,
        "requireToken": 1,
        "checkXSS": 1,
        "userControl": r"^[\w.\-@+]{1,128}$",
        "displaySessionId": 0,
        "hiddenAttributes": "_password _2fDevices _session_id",
        "upgradeSession": 1,
        # Chromium holds the way back after signing in against this, too.
        "cspFormAction": " ".join(["'self'", *(f"https://{host}" for host in served)]),
        # --- who is who: the directory
        "authentication": "LDAP",
        "userDB": "Same",
        "passwordDB": "LDAP",
        "registerDB": "Custom",
        "customRegister": "::Register::Saltworks",
        "ldapServer": portal["directory"]["server"],
        "ldapBase": f"ou=people,{base}",
        "ldapGroupBase": f"ou=groups,{base}",
        "managerDn": f"cn={portal['directory']['account']},ou=services,{base}",
        "managerPassword": secrets["directory"],
        "LDAPFilter": "(&(uid=$user)(objectClass=inetOrgPerson))",
        "AuthLDAPFilter": "(&(uid=$user)(objectClass=inetOrgPerson))",
        "mailLDAPFilter": "(&(mail=$mail)(objectClass=inetOrgPerson))",
        "ldapExportedVars": {key: key for key in ("uid", "cn", "sn", "givenName", "mail")},
        "exportedVars": {},
        "ldapPpolicyControl": 1,
        "ldapSetPassword": 1,
        "ldapChangePasswordAsUser": 1,
        "ldapAllowResetExpiredPassword": 1,
        "ldapUsePasswordResetAttribute": 1,
        "macros": {"_whatToTrace": "lc($_user)"},
        "whatToTrace": "_whatToTrace",
        "multiValuesSeparator": "; ",
        # --- mail
        "SMTPServer": mail["server"],
        "SMTPPort": mail["port"],
        "mailFrom": sender,
        "mailReplyTo": sender,
        "mailTimeout": mail["link_seconds"],
        "registerTimeout": mail["link_seconds"],
        "mailUrl": f"https://{name}/resetpwd",
        "registerUrl": f"https://{name}/register",
        "mailSessionKey": "mail",
        "mailOnPasswordChange": 1,
        "registerConfirmSubject": f"Confirm your account at {domain}",
        "registerDoneSubject": f"Your account at {domain}",
        "mailConfirmSubject": f"Choose a new password for {domain}",
        "mailSubject": f"Your password for {domain} was changed",
        "randomPasswordRegexp": "[A-Za-z0-9]{20}",
        # No letters in a picture: the link in the mail proves more.
        "captcha": "::Captcha::Saltworks",
        "captcha_mail_enabled": 0,
        "captcha_register_enabled": 1,
        # --- sessions
        "timeout": portal["session"]["seconds"],
        "timeoutActivity": portal["session"]["idle_seconds"],
        "globalStorage": "Apache::Session::Browseable::MySQL",
        "globalStorageOptions": {**store, "TableName": "sessions"},
        "persistentStorage": "Apache::Session::Browseable::MySQL",
        "persistentStorageOptions": {**store, "TableName": "psessions"},
        # A form that one host has shown may be sent to the other.
        "tokenUseGlobalStorage": 1,
        # Each look goes to the database: an ended session is ended on every host.
        "handlerInternalCache": 0,
        "localSessionStorage": "",
        "localSessionStorageOptions": {},
        "loginHistoryEnabled": 1,
        "successLoginNumber": 5,
        "failedLoginNumber": 20,
        "globalLogoutRule": 0,
        # --- guessing
        "bruteForceProtection": 1,
        "bruteForceProtectionIncrementalTempo": 1,
        "bruteForceProtectionMaxFailed": portal["brute_force"]["max_failures"],
        "bruteForceProtectionLockTimes": ", ".join(map(str, portal["brute_force"]["lock_seconds"])),
        "bruteForceProtectionMaxLockTime": max(portal["brute_force"]["lock_seconds"]),
        "customPlugins": "::Plugins::Saltworks",
        # --- second factors
        "totp2fActivation": 1,
        "totp2fSelfRegistration": 1,
        "totp2fIssuer": name,
        "totp2fEncryptSecret": 1,
        "webauthn2fActivation": 1,
        "webauthn2fSelfRegistration": 1,
        "webauthn2fUserVerification": "preferred",
        "webauthnRpName": name,
        "sfManagerRule": 1,
        "sfRequired": " or ".join(f'inGroup("{group}")' for group in required) or 0,
        # --- OpenID Connect
        "issuerDBOpenIDConnectActivation": 1,
        "oidcServiceMetaDataIssuer": f"https://{name}/",
        "oidcServicePrivateKeySig": secrets["oidc_key"],
        "oidcServicePublicKeySig": public,
        "oidcServiceKeyIdSig": key_id(public),
        "oidcServiceOldPublicKeySig": old,
        "oidcServiceOldKeyIdSig": key_id(old) if old else "",
        "oidcServiceAllowAuthorizationCodeFlow": 1,
        "oidcServiceAllowImplicitFlow": 0,
        "oidcServiceAllowHybridFlow": 0,
        "oidcServiceAllowDynamicRegistration": 0,
        "oidcServiceMetaDataDisallowNoneAlg": 1,
        "oidcServiceIgnoreScopeForClaims": 1,
        "oidcServiceAuthorizationCodeExpiration": portal["oidc"]["code_seconds"],
        "oidcServiceIDTokenExpiration": portal["oidc"]["token_seconds"],
        "oidcServiceAccessTokenExpiration": portal["oidc"]["token_seconds"],
        "oidcRPMetaDataOptions": {key: made["options"] for key, made in clients.items()},
        "oidcRPMetaDataExportedVars": {key: made["vars"] for key, made in clients.items()},
        "oidcRPMetaDataOptionsExtraClaims": {key: {"groups": "groups"} for key in clients},
        "oidcRPMetaDataMacros": {},
        "oidcRPMetaDataScopeRules": {},
    }
    text = json.dumps(made, sort_keys=True)
    made["cfgDate"] = zlib.crc32(text.encode())
    return json.dumps(made, sort_keys=True, indent=1) + "\n"


def _menu(clients, domain):
    """The applications on the portal's own page."""
    apps = {
        f"app_{name}": {
            "type": "application",
            "options": {
                "name": given.get("title", name),
                "description": given.get("title", name),
                "uri": f"https://{given['site']}.{domain}/",
                "display": " or ".join(f'inGroup("{group}")' for group in given.get("groups", []))
                or "on",
            },
        }
        for name, given in sorted(clients.items())
    }
    return {"1sites": {"type": "category", "catname": "Sites", **apps}}


def table_statements(found):
    """
    What is missing of the tables that hold sessions.

    found
        Names of the tables that are there.

    Returns ``{table: statement}``.

    CLI Example:

    .. code-block:: bash

        salt-call site_lemonldap.table_statements '[]'
    """
    columns = ", ".join(f"`{name}` {kind}" for name, kind in SESSION_COLUMNS.items())
    keys = ", ".join(
        f"KEY `{name}` (`{name}`)" for name in ("_whatToTrace", "_session_kind", "_utime", "mail")
    )
    return {
        table: (
            f"CREATE TABLE IF NOT EXISTS `{table}` (`id` varchar(64) NOT NULL PRIMARY KEY, "
            f"`a_session` mediumtext, {columns}, {keys}) ENGINE=InnoDB"
        )
        for table in TABLES
        if table not in found
    }


def tables(database, password_file, create=False):
    """
    Which tables for sessions are missing; made, if wanted.

    database
        ``{"host", "port", "name", "user", "ca"}``.

    password_file
        Path of the file with the user's password.

    create
        Whether to make them.

    Returns the names of those that were missing, sorted.

    Raises CommandExecutionError where the database does not answer.

    CLI Example:

    .. code-block:: bash

        salt-call site_lemonldap.tables '{…}' /etc/lemonldap-ng/secrets/database
    """
    import ssl
    from pathlib import Path

    import pymysql

    context = ssl.create_default_context(cafile=database["ca"])
    # No stricter about the form of a certificate than other clients are.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    try:
        line = pymysql.connect(
            host=database["host"],
            port=database["port"],
            user=database["user"],
            password=Path(password_file).read_text(encoding="utf-8"),
            database=database["name"],
            ssl=context,
            connect_timeout=10,
            read_timeout=60,
            autocommit=True,
        )
        with line, line.cursor() as cursor:
            cursor.execute("SHOW TABLES")
            needed = table_statements([row[0] for row in cursor.fetchall()])
            if create:
                for statement in needed.values():
                    cursor.execute(statement)
    except (pymysql.Error, OSError) as error:
        raise CommandExecutionError(f"the database of the accounts: {error}") from error
    return sorted(needed)


def end_sessions(uid):
    """
    End every session of a person, on every host of the portal.

    Sites that were entered by it end theirs when they next ask: pillar
    ``sso-gate:session:revalidate`` seconds later at the latest.

    uid
        The name that the person signs in with.

    Returns what the portal's own program said.

    CLI Example:

    .. code-block:: bash

        salt 'accounts1.*' site_lemonldap.end_sessions ada
    """
    if not uid.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise CommandExecutionError(f"'{uid}' is not the name of a person")
    done = __salt__["cmd.run_all"](
        [SESSIONS, "delete", "--where", f"_whatToTrace={uid.lower()}"],
        python_shell=False,
        runas="www-data",
    )
    if done["retcode"]:
        raise CommandExecutionError(done["stderr"] or done["stdout"])
    return done["stdout"]
