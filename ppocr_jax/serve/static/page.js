// The page of the server: sends a file to POST /ocr, shows its pages as they are read, and gives the text in other forms.

const DOUBTFUL = 0.8; // a word of less confidence is underlined
const PREVIEW_SIDE = 1600; // pixels of the images that come back with the text
const LANGUAGES = { en: "English", ch: "中文" };

const at = (id) => document.getElementById(id);
const state = { file: null, model: "", limits: {}, pages: [], shown: 0, expected: 1, abort: null };

// --- asking the server ---

function headers(accept) {
  const values = { Accept: accept, "Content-Type": "application/octet-stream" };
  if (at("token").value) values.Authorization = `Bearer ${at("token").value}`;
  return values;
}

async function ask(file, accept, query, signal) {
  const body = new FormData();
  body.append("file", file, file.name || "pasted image");
  if (at("password").value) body.append("password", at("password").value);
  const sent = headers(accept);
  delete sent["Content-Type"]; // the browser writes that of a form
  const parameters = new URLSearchParams(query);
  if (at("model").value) parameters.set("model", at("model").value);
  if (at("pages").value.trim()) parameters.set("pages", at("pages").value.trim());
  let answer;
  try {
    answer = await fetch(`ocr?${parameters}`, { method: "POST", body, headers: sent, signal });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error("The server does not answer. Is it still running?");
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

async function refusal(answer) {
  let problem = {};
  try {
    problem = await answer.json();
  } catch {
    // a proxy's own page
  }
  if (answer.status === 401) at("token-choice").hidden = false;
  if (problem.code === "password") at("password-choice").hidden = false;
  const field = answer.status === 401 ? "token" : problem.code === "password" ? "password" : null;
  if (field) at(field).focus();
  const detail = problem.detail || `The server answers ${answer.status} ${answer.statusText}`;
  return new Error(detail[0].toUpperCase() + detail.slice(1) + (/[.?!]$/.test(detail) ? "" : "."));
}

async function learnLimits() {
  try {
    const answer = await fetch("info", { headers: headers("application/json") });
    if (!answer.ok) {
      at("token-choice").hidden = answer.status !== 401;
      return;
    }
    const info = await answer.json();
    state.limits = info;
    at("model").replaceChildren(...info.models.map((name) => new Option(LANGUAGES[name] || name, name)));
    at("model-choice").hidden = info.models.length < 2;
  } catch {
    // without limits the server says what is too large
  }
}

// --- reading ---

async function read(file) {
  state.abort?.abort();
  const abort = new AbortController();
  Object.assign(state, { file, abort, pages: [], shown: 0, expected: 1 });
  at("problem").hidden = true;
  at("result").hidden = true;
  at("working").hidden = false;
  at("progress").removeAttribute("value");
  say(`Reading ${file.name || "the pasted image"} …`);
  try {
    if (!state.limits.models) await learnLimits();
    const most = state.limits.max_upload_mib;
    if (most && file.size > most * 2 ** 20) throw new Error(`${file.name} has ${mib(file.size)} MiB; this server takes ${most} MiB.`);
    state.model = at("model").value;
    const answer = await ask(file, "application/jsonl", { words: true, preview: PREVIEW_SIDE }, abort.signal);
    state.expected = Number(answer.headers.get("X-Page-Count")) || 1;
    for await (const page of rows(answer.body)) {
      if (state.abort !== abort) return;
      addPage(page);
    }
    say(summary());
  } catch (error) {
    if (state.abort !== abort) return; // another file is being read
    if (error.name === "AbortError") say("Canceled.");
    else complain(error.message);
  } finally {
    if (state.abort === abort) {
      at("working").hidden = true;
      at("again").hidden = false;
    }
  }
}

async function* rows(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    const lines = (rest + (value || "")).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
    if (done) return;
  }
}

function addPage(page) {
  state.pages.push(page);
  at("progress").max = state.expected;
  at("progress").value = state.pages.length;
  if (state.expected > 1) say(`${state.pages.length} of ${state.expected} pages read.`);
  at("result").hidden = false;
  at("take").classList.add("small");
  if (state.pages.length === 1) show(0);
  else showPageNumber();
}

function summary() {
  const lines = state.pages.reduce((sum, page) => sum + page.lines.length, 0);
  const failed = state.pages.filter((page) => page.error).length;
  const found = lines ? `${count(lines, "line")} on ${count(state.pages.length, "page")}.` : "No text was found.";
  return failed ? `${found} ${count(failed, "page")} could not be read.` : found;
}

// --- showing ---

function show(number) {
  state.shown = number;
  const page = state.pages[number];
  showPageNumber();
  at("image").src = page.preview || "";
  at("image").hidden = !page.preview;
  at("image").alt = `Page ${page.page}, with ${count(page.lines.length, "line")} of text`;
  at("boxes").setAttribute("viewBox", `0 0 ${page.width || 1} ${page.height || 1}`);
  at("boxes").replaceChildren(...page.lines.map(box));
  at("lines").replaceChildren(...page.lines.map(lineOf));
  at("lines").lang = { ch: "zh" }[state.model] || state.model || "";
  at("legend").hidden = !page.lines.length;
  const notes = page.error ? [page.error] : page.warnings || [];
  if (notes.length) complain(notes.join("; "));
  else at("problem").hidden = true;
}

function showPageNumber() {
  const many = Math.max(state.expected, state.pages.length) > 1;
  at("page-choice").hidden = !many;
  at("page-number").textContent = `Page ${state.pages[state.shown].page} (${state.shown + 1} of ${state.pages.length})`;
  at("previous").disabled = state.shown === 0;
  at("next").disabled = state.shown >= state.pages.length - 1;
}

function box(line, index) {
  const polygon = document.createElementNS("http://www.w3.org/2000/svg", "polygon");
  polygon.setAttribute("points", line.quad.map((point) => point.join(",")).join(" "));
  polygon.classList.toggle("doubtful", line.confidence < DOUBTFUL);
  polygon.dataset.index = index;
  return polygon;
}

function lineOf(line, index) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.index = index;
  button.title = `confidence ${percent(line.confidence)}`;
  button.style.setProperty("--doubtful", Math.min(1, Math.max(0, (1 - line.confidence) * 2)).toFixed(2));
  const words = line.words?.length ? line.words : [line];
  words.forEach((word, place) => {
    const doubtful = word.confidence < DOUBTFUL;
    const part = document.createElement(doubtful ? "mark" : "span");
    if (doubtful) part.title = `confidence ${percent(word.confidence)}`;
    part.textContent = word.text;
    button.append(place && line.text.includes(" ") ? " " : "", part);
  });
  item.append(button);
  return item;
}

function mark(index, name, on) {
  for (const holder of [at("boxes"), at("lines")]) {
    const part = holder.querySelector(`[data-index="${index}"]`);
    part?.classList.toggle(name, on);
  }
}

function choose(index, { scrollText = false } = {}) {
  document.querySelectorAll(".chosen").forEach((part) => part.classList.remove("chosen"));
  mark(index, "chosen", true);
  const button = at("lines").querySelector(`[data-index="${index}"]`);
  if (scrollText) button?.focus();
  else at("boxes").querySelector(`[data-index="${index}"]`)?.scrollIntoView({ block: "nearest" });
}

// --- taking the text away ---

const allText = () => state.pages.map((page) => page.lines.map((line) => line.text).join("\n")).join("\n\n");

async function copyText() {
  const text = allText();
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS, or without permission, browsers give no clipboard; the old way still works.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    at("copy").focus();
  }
  say("Text copied.");
}

function saveJson() {
  const pages = state.pages.map(({ preview, ...page }) => page);
  const text = JSON.stringify({ model: state.model, pages }, null, 1);
  download(new Blob([text], { type: "application/json" }), "json");
}

async function savePdf() {
  at("save-pdf").disabled = true;
  say("Creating the PDF …");
  try {
    download(await (await ask(state.file, "application/pdf", {})).blob(), "pdf");
    say("PDF ready.");
  } catch (error) {
    complain(error.message);
  } finally {
    at("save-pdf").disabled = false;
  }
}

function download(blob, suffix) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${(state.file.name || "text").replace(/\.[^.]*$/, "")}.${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// --- words ---

const say = (text) => (at("status").textContent = text);
const percent = (share) => `${Math.round(share * 100)} %`;
const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
const mib = (bytes) => (bytes / 2 ** 20).toFixed(1);

function complain(text) {
  at("problem").textContent = text;
  at("problem").hidden = false;
  if (!state.pages.length) say("");
}

// --- events ---

function take(files) {
  const [file] = files;
  if (!file) return;
  read(file).then(() => {
    if (files.length > 1) complain(`Only ${file.name} was read: one file at a time.`);
  });
}

for (const id of ["file", "camera"]) {
  at(id).addEventListener("change", () => {
    take([...at(id).files]);
    at(id).value = ""; // so that the same file can be chosen again
  });
}
document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files || [])];
  if (files.length) {
    event.preventDefault();
    take(files);
  }
});
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault(); // or the browser opens the file instead of the page
    at("take").classList.toggle("over", name === "dragover");
    if (name !== "drop") return;
    if (event.dataTransfer.files.length) take([...event.dataTransfer.files]);
    else complain("That was not a file. Save the image first, or copy and paste it.");
  });
}
at("cancel").addEventListener("click", () => state.abort?.abort());
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !at("working").hidden) state.abort?.abort();
});
at("again").addEventListener("click", () => read(state.file));
at("model").addEventListener("change", () => state.file && read(state.file));
for (const id of ["pages", "password", "token"]) {
  at(id).addEventListener("keydown", (event) => {
    if (event.key === "Enter" && state.file) read(state.file);
  });
}
at("token").addEventListener("change", learnLimits);
at("copy").addEventListener("click", copyText);
at("save-json").addEventListener("click", saveJson);
at("save-pdf").addEventListener("click", savePdf);
at("previous").addEventListener("click", () => show(state.shown - 1));
at("next").addEventListener("click", () => show(state.shown + 1));
for (const id of ["boxes", "lines"]) {
  for (const [name, on] of [["mouseover", true], ["mouseout", false], ["focusin", true], ["focusout", false]]) {
    at(id).addEventListener(name, (event) => {
      const index = event.target.closest("[data-index]")?.dataset.index;
      if (index !== undefined) mark(index, "near", on);
    });
  }
  at(id).addEventListener("click", (event) => {
    const index = event.target.closest("[data-index]")?.dataset.index;
    if (index !== undefined) choose(index, { scrollText: id === "boxes" });
  });
}
at("lines").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const index = event.target.closest("[data-index]")?.dataset.index;
  if (!step || index === undefined) return;
  event.preventDefault();
  at("lines").querySelector(`[data-index="${Number(index) + step}"]`)?.focus();
});

learnLimits();
