// Asks one question as the chosen role and shows the answer together with what was refused.
"use strict";

const question = (order) => `{
  studies(first: 12${order}) {
    totalCount
    edges {
      node {
        id
        started
        description
        modality { code }
        numberOfSeries
        numberOfInstances
        patient { name { text } }
        series { uid }
      }
    }
  }
}`;
const NEWEST = ", sort: [STARTED_DESC]";

// What each column of the table shows, and the policy coordinates that close it.
const COLUMNS = [
  { show: (study) => when(study.started), needs: ["ImagingStudy.started"] },
  { show: (study) => personName(study.patient), needs: ["ImagingStudy.subject", "Patient.name"] },
  { show: (study) => study.description, needs: ["ImagingStudy.description"] },
  { show: (study) => listed(study.modality).map((code) => code.code).join(", "), needs: ["ImagingStudy.modality"] },
  { show: (study) => study.numberOfSeries, needs: ["ImagingStudy.numberOfSeries"], number: true },
  { show: (study) => study.numberOfInstances, needs: ["ImagingStudy.numberOfInstances"], number: true },
];

const MOST_PICTURES = 12;
const part = (id) => document.getElementById(id);
let running = new AbortController();
let pictureUrls = [];

class Failed extends Error {}

function listed(value) {
  if (Array.isArray(value)) return value.filter(Boolean);
  if (value?.edges) return value.edges.map((edge) => edge?.node).filter(Boolean);
  return value ? [value] : [];
}

function when(started) {
  if (!started) return started;
  // A date without a time must not move to another day in the reader's zone.
  const shown = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}))?/.exec(started);
  return shown ? [shown[1], shown[2]].filter(Boolean).join(" ") : started;
}

function personName(patient) {
  return listed(patient?.name).map((name) => name.text).find(Boolean);
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

async function json(path, options) {
  const answer = await fetch(path, options);
  const type = answer.headers.get("content-type") ?? "";
  if (!type.includes("json")) throw new Failed(`${path} answered ${answer.status}.`);
  return { status: answer.status, body: await answer.json() };
}

async function tokenFor(role, signal) {
  const { status, body } = await json("/development/token", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ role }),
    signal,
  });
  const token = body.token ?? body.access_token;
  if (!token) throw new Failed(`No token for ${role}: the server answered ${status}.`);
  return token;
}

// Whoever may not read when a study started may not order by it either: then in any order.
async function askNewest(token, signal) {
  const newest = await ask(question(NEWEST), token, signal);
  if (newest.connection || !newest.refused.has("ImagingStudy.started")) return newest;
  return ask(question(""), token, signal);
}

async function ask(query, token, signal) {
  const { body } = await json("/graphql", {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify({ query }),
    signal,
  });
  const refused = new Set();
  const others = [];
  for (const error of body.errors ?? []) {
    if (error.extensions?.code === "FORBIDDEN" && error.extensions.coordinate) {
      refused.add(error.extensions.coordinate);
    } else {
      others.push(error.message ?? "The question was not understood.");
    }
  }
  if (!body.data && !refused.size) throw new Failed(others[0] ?? "The server gave no answer.");
  return { connection: body.data?.studies ?? null, refused, others };
}

function closedBy(needs, refused) {
  return needs.find((coordinate) => refused.has(coordinate));
}

function showStudies(studies, refused) {
  const rows = studies.map((study) => {
    const row = element("tr");
    for (const column of COLUMNS) {
      const cell = element("td", undefined, column.number ? "number" : "");
      const value = column.show(study);
      const closed = closedBy(column.needs, refused);
      if (value !== undefined && value !== null && value !== "") {
        const shown = element("bdi", String(value));
        cell.append(shown);
      } else if (closed) {
        const mark = element("span", "closed", "closed");
        mark.title = closed;
        cell.append(mark);
      } else {
        cell.textContent = "–";
      }
      row.append(cell);
    }
    return row;
  });
  if (!rows.length) {
    const cell = element("td", "No studies that this role may know of.");
    cell.colSpan = COLUMNS.length;
    const row = element("tr");
    row.append(cell);
    rows.push(row);
  }
  part("studies").replaceChildren(...rows);
}

function showRefused(refused) {
  part("refused").hidden = !refused.size;
  const items = [...refused].sort().map((coordinate) => element("li", coordinate));
  part("coordinates").replaceChildren(...items);
}

function forget() {
  pictureUrls.forEach((url) => URL.revokeObjectURL(url));
  pictureUrls = [];
  part("pictures").replaceChildren();
}

// One picture a series, the studies taking turns, so that a long study does not fill the sheet.
function pictureAddresses(studies) {
  const queues = studies.map((study) =>
    listed(study.series).map((series) => ({ study, path: ["studies", study.id, "series", series.uid] })),
  );
  const addresses = [];
  for (let turn = 0; addresses.length < MOST_PICTURES && queues.some((queue) => turn < queue.length); turn += 1) {
    for (const queue of queues) if (turn < queue.length) addresses.push(queue[turn]);
  }
  return addresses.filter(({ path }) => path.every(Boolean)).slice(0, MOST_PICTURES);
}

async function showPicture(item, path, token, signal) {
  const answer = await fetch(`/dicomweb/${path.map(encodeURIComponent).join("/")}/thumbnail`, {
    headers: { Authorization: `Bearer ${token}`, Accept: "image/jpeg, image/png" },
    signal,
  });
  if (answer.status === 401 || answer.status === 403) {
    item.classList.add("closed");
    item.prepend("closed");
    return true;
  }
  const type = answer.headers.get("content-type") ?? "";
  if (!answer.ok || !type.startsWith("image/")) {
    item.remove();
    return false;
  }
  const url = URL.createObjectURL(await answer.blob());
  if (signal.aborted) {
    URL.revokeObjectURL(url);
    return false;
  }
  pictureUrls.push(url);
  const picture = element("img");
  picture.src = url;
  picture.alt = item.dataset.words;
  item.prepend(picture);
  return false;
}

async function showPictures(studies, token, signal) {
  const work = pictureAddresses(studies).map(({ study, path }) => {
    const words = listed(study.modality).map((code) => code.code).join(" ") || "image";
    const item = element("li");
    item.dataset.words = study.description ? `${words}, ${study.description}` : words;
    item.append(element("small", words));
    part("pictures").append(item);
    return showPicture(item, path, token, signal);
  });
  const closed = await Promise.all(work);
  return closed.some(Boolean);
}

function say(words, failed = false) {
  part("status").textContent = words;
  part("status").classList.toggle("failed", failed);
}

function summary(role, connection, refused, others) {
  const total = connection?.totalCount;
  const many = connection ? `${total ?? listed(connection).length} studies` : "no studies";
  const closed = ["nothing is closed", "1 element is closed"][refused.size] ?? `${refused.size} elements are closed`;
  return [`As ${role}: ${many}, ${closed}.`, ...others].join(" ");
}

async function look(role) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  forget();
  say(`Asking as ${role} …`);
  try {
    const token = await tokenFor(role, signal);
    const { connection, refused, others } = await askNewest(token, signal);
    const studies = listed(connection);
    showStudies(studies, refused);
    showRefused(refused);
    say(summary(role, connection, refused, others), others.length > 0);
    if (await showPictures(studies, token, signal)) {
      refused.add("Image.pixels");
      showRefused(refused);
      say(summary(role, connection, refused, others), others.length > 0);
    }
  } catch (error) {
    if (signal.aborted) return;
    part("studies").replaceChildren();
    showRefused(new Set());
    say(error instanceof Failed ? error.message : "The server did not answer.", true);
  }
}

part("question").textContent = question(NEWEST);
part("roles").addEventListener("change", (event) => look(event.target.value));
part("roles").addEventListener("submit", (event) => event.preventDefault());
look(new FormData(part("roles")).get("role"));
