/* Managed by Saltworks: mhonarc. Local changes are overwritten. */
// The list of mails, cut down to those with all of the words that are typed, or that
// stand in the address: /?words=ada@example.org
"use strict";
const field = document.getElementById("words");
const rows = [...document.querySelectorAll("#mails tbody tr")];
function cut() {
  const words = field.value.toLowerCase().split(/\s+/);
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
}
field.value = new URLSearchParams(location.search).get("words") || "";
field.addEventListener("input", cut);
document.getElementById("search").hidden = false;
cut();
