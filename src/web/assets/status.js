"use strict";
// The page is made by the server. When something happened it is fetched again and put in place.
(() => {
  const light = document.getElementById("live");
  let due = null;
  let busy = false;
  let again = false;

  const refresh = async () => {
    due = null;
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch("/", { cache: "no-store" });
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        const main = fresh.getElementById("main");
        if (main) document.getElementById("main").replaceWith(document.adoptNode(main));
      }
    } catch { /* the stream says when the server is back */ }
    busy = false;
    if (again) { again = false; soon(); }
  };

  const soon = () => { if (due === null) due = setTimeout(refresh, 600); };

  const events = new EventSource("/status/events");
  events.onopen = () => { light.classList.add("on"); soon(); };
  events.onerror = () => light.classList.remove("on");
  for (const kind of ["check", "device", "alert", "quarantine", "lost"]) {
    events.addEventListener(kind, soon);
  }
  // Times are told in words, and go on.
  setInterval(soon, 60000);
})();
