import { element } from "./player.js";

// The token is kept for this tab alone: it is gone when the tab is closed, and no other page can read it.
const PLACE = "britekit-token";
let asking = null;

const given = () => sessionStorage.getItem(PLACE);

// Ask once, however many requests wait for the answer.
function ask(sentence) {
  asking ??= new Promise(done => {
    const field = element("input", { type: "password", autocomplete: "off", required: true, id: "token" });
    const form = element("form", {}, element("h2", { textContent: "Token" }),
      element("p", { textContent: "This service is for those who have a token. Its operator gives it to you. It is kept until you close this tab." }),
      element("p", { className: "bad", role: "alert", textContent: sentence }),
      element("label", { htmlFor: "token", textContent: "Token " }), field, " ", element("button", { textContent: "Continue" }));
    const dialog = element("dialog", { className: "token", ariaLabel: "Token" }, form);
    dialog.addEventListener("cancel", event => event.preventDefault());
    form.addEventListener("submit", event => {
      event.preventDefault();
      sessionStorage.setItem(PLACE, field.value.trim());
      dialog.remove();
      asking = null;
      done();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}

// As fetch, with the token; asks for one where it is missing, wrong or expired.
export async function authorized(path, options = {}) {
  for (;;) {
    const sent = given();
    const answer = await fetch(path, sent ? { ...options, headers: { ...options.headers, Authorization: "Bearer " + sent } } : options);
    if (answer.status !== 401) return answer;
    if (sent === given()) {
      const body = await answer.json().catch(() => ({}));
      await ask(sent ? "Not accepted: " + (body.error || "the token is not valid") + "." : "");
    }
    options.signal?.throwIfAborted();
  }
}
