<!-- Managed by Saltworks: mhonarc. Local changes are overwritten. -->
<!-- What the pages look like. The newest mail comes first, by when it came. -->
<NoDoc>
<NoThread>
<NoSort>
<Reverse>
<NoMailto>
<NoNews>
<NoFolRefs>
<IdxFName>
index.html
</IdxFName>
<AttachmentDir>
files
</AttachmentDir>
<AttachmentUrl>
files
</AttachmentUrl>
<FieldStore>
x-original-to
</FieldStore>
<!-- Of two forms of one text, the plain one. -->
<MIMEAltPrefs>
text/plain
text/html
</MIMEAltPrefs>

<IdxPgBegin>
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Mail – Web Platform</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/site.css">
<style>
table { width: 100%; }
td:first-child { white-space: nowrap; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dd { margin: 0; overflow-wrap: anywhere; }
#mails [hidden] { display: none; }
@media (max-width: 45rem) {
  #mails, #mails tbody, #mails tr, #mails td { display: block; overflow-wrap: anywhere; }
  #mails thead { display: none; }
  #mails tr { padding: .6rem 0; border-bottom: 1px solid var(--line); }
  #mails td { padding: 0; border: 0; }
}
.text { border-top: 1px solid var(--line); margin-top: 1.5rem; padding-top: 1rem; }
</style>
</head>
<body>
<header class="head">
<a class="name" href="/">Web Platform</a>
<nav><a href="/">All mail</a> <a href="/sso/logout">Sign out</a></nav>
</header>
<main id="main">
<h1>Mail</h1>
<p class="row" id="search" hidden><input type="search" id="words" aria-label="Words to look for" placeholder="Recipient, sender or subject"></p>
</IdxPgBegin>
<ListBegin>
<table id="mails">
<thead><tr><th>Date</th><th>To</th><th>Subject</th><th>From</th></tr></thead>
<tbody>
</ListBegin>
<LiTemplate>
<tr><td>$MSGLOCALDATE(CUR;%Y-%m-%d %H:%M)$</td><td>$MSGHFIELD(CUR;x-original-to)$</td><td><a $A_HREF$>$SUBJECTNA$</a></td><td>$FROM$</td></tr>
</LiTemplate>
<ListEnd>
</tbody>
</table>
</ListEnd>
<IdxPgEnd>
<p class="quiet">$NUMOFMSG$ mails, the newest first.</p>
<script src="/filter.js"></script>
</main>
<footer class="foot">Mail of the level sandbox: it ends here, whoever it is for. It is kept for 14 days.</footer>
</body>
</html>
</IdxPgEnd>

<MsgPgBegin>
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>$SUBJECTNA$ – Web Platform</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/site.css">
<style>
table { width: 100%; }
td:first-child { white-space: nowrap; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dd { margin: 0; overflow-wrap: anywhere; }
#mails [hidden] { display: none; }
@media (max-width: 45rem) {
  #mails, #mails tbody, #mails tr, #mails td { display: block; overflow-wrap: anywhere; }
  #mails thead { display: none; }
  #mails tr { padding: .6rem 0; border-bottom: 1px solid var(--line); }
  #mails td { padding: 0; border: 0; }
}
.text { border-top: 1px solid var(--line); margin-top: 1.5rem; padding-top: 1rem; }
</style>
</head>
<body>
<header class="head">
<a class="name" href="/">Web Platform</a>
<nav><a href="/">All mail</a> <a href="/sso/logout">Sign out</a></nav>
</header>
<main id="main">
</MsgPgBegin>
<!-- Where nothing stands, the program's own links would. -->
<TopLinks>
<span></span>
</TopLinks>
<BotLinks>
<span></span>
</BotLinks>
<SubjectHeader>
<h1>$SUBJECTNA$</h1>
</SubjectHeader>
<!-- These fields and no other. -->
<Excs Override>
</Excs>
<LabelStyles>
-default-:
</LabelStyles>
<FieldOrder>
from
to
cc
reply-to
date
x-original-to
</FieldOrder>
<FieldsBeg>
<dl>
</FieldsBeg>
<LabelBeg>
<dt>
</LabelBeg>
<LabelEnd>
</dt>
</LabelEnd>
<FldBeg>
<dd>
</FldBeg>
<FldEnd>
</dd>
</FldEnd>
<FieldsEnd>
</dl>
</FieldsEnd>
<HeadBodySep>
<div class="text">
</HeadBodySep>
<MsgBodyEnd>
</div>
</MsgBodyEnd>
<MsgPgEnd>
</main>
<footer class="foot">Mail of the level sandbox: it ends here, whoever it is for. It is kept for 14 days.</footer>
</body>
</html>
</MsgPgEnd>
