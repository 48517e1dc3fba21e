/* What is live: the content of the page is asked for anew every few seconds and changed in place, so that focus,
   selection, what is typed, what is open and how far it is scrolled stay. Rests while nobody looks, and while it is told
   to. Without this script the pages are whole; they are loaded anew by hand. */
(() => {
  "use strict";

  const body = document.body;
  const everyMs = 1000 * Number(body.dataset.every); // 0 for a page that is no news: a form, an error
  const longestMs = 10000; // an answer that takes longer is none
  const slowestMs = 30000; // while nothing answers, ask at least so often
  const live = document.getElementById("live");
  const old = document.getElementById("old");
  const asOf = document.getElementById("as-of");

  let paused = sessionStorage.getItem("taskbridge-paused") === "1";
  let failures = 0;
  let timer = 0;
  let asking = null;
  let seenAt = new Date();

  // -- what is live ---------------------------------------------------------------------------------------------

  /** Ask for the content of this page, and change what has changed. */
  async function refresh() {
    const cut = new AbortController();
    const late = setTimeout(() => cut.abort(), longestMs);
    asking = cut;
    try {
      const url = new URL(location.href);
      url.searchParams.set("fragment", "1");
      const answer = await fetch(url, { signal: cut.signal, credentials: "same-origin", redirect: "error" });
      const text = await answer.text();
      if (asking !== cut || selects()) return;
      if (answer.ok) show(text);
      else failed(answer.status);
    } catch (error) {
      if (asking === cut) failed(0);
    } finally {
      clearTimeout(late);
      if (asking === cut) {
        asking = null;
        next();
      }
    }
  }

  /** Change the elements that are live to what came. */
  function show(text) {
    if (document.querySelector("[data-recovers]")) return location.reload();
    const came = new DOMParser().parseFromString(text, "text/html");
    for (const fresh of came.querySelectorAll("[data-live]")) {
      const here = fresh.id && document.getElementById(fresh.id);
      if (here) morph(here, fresh);
    }
    failures = 0;
    seenAt = new Date();
    say("");
    body.classList.remove("is-old");
    const now = came.querySelector("[data-now]");
    const time = asOf && asOf.querySelector("time");
    if (now && time) time.dateTime = time.textContent = now.dataset.now;
  }

  /** Keep what is shown, and say how old it is. */
  function failed(status) {
    failures += 1;
    body.classList.add("is-old");
    const at = seenAt.toLocaleTimeString();
    if (status === 401) say(`You are not signed in any more. What you see is of ${at}. Load the page anew to sign in.`);
    else if (status === 503) say(`The store or a broker is away. What you see is of ${at}; this page keeps asking.`);
    else if (status) say(`The dashboard has answered with an error (${status}). What you see is of ${at}.`);
    else say(`The dashboard does not answer. What you see is of ${at}; this page keeps asking.`);
  }

  function say(text) {
    if (old.textContent !== text) old.textContent = text;
    old.hidden = !text;
  }

  /** Whether somebody has text selected: what is selected is not taken away. */
  function selects() {
    const selection = getSelection();
    const content = document.getElementById("content");
    return selection && !selection.isCollapsed && content.contains(selection.anchorNode);
  }

  /** Ask again when it is time. */
  function next() {
    clearTimeout(timer);
    if (paused || document.hidden) return;
    timer = setTimeout(refresh, Math.min(slowestMs, everyMs * 2 ** Math.min(failures, 4)));
  }

  function rest() {
    clearTimeout(timer);
    if (asking) asking.abort();
    asking = null;
  }

  // -- one tree into another ------------------------------------------------------------------------------------

  /** Make an element what another one is, and keep of it whatever is the same. */
  function morph(here, fresh) {
    attributes(here, fresh);
    if (here.tagName === "TEXTAREA" || here.tagName === "SELECT") return;
    const known = new Map();
    for (const child of here.children) if (child.id) known.set(child.id, child);
    let at = here.firstChild;
    for (const wanted of [...fresh.childNodes]) {
      const same = match(at, wanted, known);
      if (!same) here.insertBefore(document.importNode(wanted, true), at);
      else {
        if (same !== at) here.insertBefore(same, at);
        else at = at.nextSibling;
        if (same.nodeType === Node.ELEMENT_NODE) morph(same, wanted);
        else if (same.data !== wanted.data) same.data = wanted.data;
      }
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  /** The node here that is to become the wanted one: of its id, or the next of its kind. */
  function match(at, wanted, known) {
    if (wanted.id) return known.get(wanted.id) || null;
    if (!at || at.id || at.nodeType !== wanted.nodeType || at.nodeName !== wanted.nodeName) return null;
    return at;
  }

  function attributes(here, fresh) {
    for (const { name, value } of [...fresh.attributes]) {
      if (kept(here, name)) continue;
      if (here.getAttribute(name) !== value) here.setAttribute(name, value);
    }
    for (const { name } of [...here.attributes]) {
      if (!fresh.hasAttribute(name) && !kept(here, name)) here.removeAttribute(name);
    }
  }

  /** What is the reader's own: what is open, and what they have written into a field, or are about to. */
  function kept(here, name) {
    if (here.tagName === "DETAILS") return name === "open";
    if (here.tagName !== "INPUT" || here.type === "hidden") return false;
    if (name === "checked") return here.checked !== here.defaultChecked;
    return name === "value" && (here === document.activeElement || here.value !== here.defaultValue);
  }

  // -- what one can press ---------------------------------------------------------------------------------------

  function toggle() {
    paused = !paused;
    sessionStorage.setItem("taskbridge-paused", paused ? "1" : "0");
    mark();
    if (paused) rest();
    else refresh();
  }

  function mark() {
    live.setAttribute("aria-pressed", String(!paused));
    live.textContent = paused ? "Paused" : "Live";
    live.title = paused ? "Nothing is asked for anew: press to go on" : "Asked for anew by itself: press to pause";
  }

  const theme = document.getElementById("theme-choice");
  theme.addEventListener("change", () => {
    const place = body.dataset.place;
    document.cookie = `taskbridge_theme=${theme.value}; path=${place}; max-age=31536000; samesite=strict`;
    if (theme.value === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme.value;
  });
  document.getElementById("theme-set").hidden = true;

  if (!everyMs) return;
  live.hidden = false;
  live.addEventListener("click", toggle);
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : paused || refresh()));
  addEventListener("pagehide", rest);
  addEventListener("pageshow", (event) => event.persisted && !paused && refresh());
  mark();
  next();
})();
