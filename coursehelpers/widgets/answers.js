// Says on the page whether it and Python hear each other.
const look = { fontFamily: "var(--jp-code-font-family, monospace)", fontSize: "13px", whiteSpace: "pre-wrap" }

export function render({ model, el }) {
  const asked = performance.now()
  el.setAttribute("role", "status")
  Object.assign(el.style, look)
  el.textContent = "… page         it draws widgets; Python answers when the cells before are done"
  model.on("change:answer", () => {
    const ms = Math.round(performance.now() - asked)
    el.textContent = `✓ page         it draws widgets, and Python answered after ${ms} ms`
  })
  model.set("question", String(asked))
  model.save_changes()
}
export default { render }
