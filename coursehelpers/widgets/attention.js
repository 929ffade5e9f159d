// attention: which earlier characters each character looks at; the character is chosen by mouse, keys or slider.

// Shares of one head, a row for each character up to itself, each as one of 64 signs for the root of the share.
const SIGNS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-'
function shares(code, place) {
  const first = (place * (place + 1)) / 2
  const roots = [...code.slice(first, first + place + 1)].map(sign => SIGNS.indexOf(sign) / 63)
  const total = roots.reduce((sum, r) => sum + r * r, 0) || 1
  return roots.map(r => (r * r) / total)
}
// The `count` places with the largest shares, the largest first.
const largest = (parts, count) =>
  parts
    .map((part, i) => [part, i])
    .sort((a, b) => b[0] - a[0])
    .slice(0, count)
    .filter(([part]) => part > 0.01)

function render({model, el}) {
  const {characters, codes} = model.get('data')
  let layer, head, place
  const cells = [...characters].map((c, i) =>
    make('span', {class: 'cl-character', pointerenter: () => go(i), click: () => go(i, true)}, seen(c), make('i'))
  )
  const text = make('div', {class: 'cl-text', 'aria-hidden': 'true'})
  cells.forEach((cell, i) => text.append(cell, ...(characters[i] === '\n' ? [make('div', {class: 'cl-break'})] : [])))
  const slider = track({
    min: 0,
    max: characters.length - 1,
    step: 1,
    'aria-label': 'character',
    input: () => go(+slider.value),
    change: () => tell()
  })
  const choose = (name, list, chosen) =>
    make(
      'label',
      {},
      `${name} `,
      make(
        'select',
        {'aria-label': name, 'data-lm-suppress-shortcuts': 'true', change: e => chosen(+e.target.value)},
        ...list.map((_, i) => make('option', {value: i}, i + 1))
      )
    )
  const layers = choose('layer', codes, v => turn(v, head))
  const heads = choose('head', codes[0], v => turn(layer, v))
  const play = player('walk', 220, () => place < characters.length - 1 && (go(place + 1), true), () => tell())
  const {say} = shell(
    el,
    make('div', {class: 'ch-bar'}, layers, heads, play.node),
    text,
    knobRow('character', slider, make('span'), ' long')
  )
  const quiet = later(350, () => tell())
  const send = exchange(model, ['layer', 'head', 'place'], () => ({layer, head, place}), load)

  function words() {
    const found = largest(shares(codes[layer][head], place), 3)
    const list = found.map(([part, i]) => {
      const back = place - i
      return `${Math.round(100 * part)} % on ${spoken(characters[i])} ${back ? `${back} back` : '(itself)'}`
    })
    return `Layer ${layer + 1}, head ${head + 1}, at ${spoken(characters[place])}: ${list.join(', ')}.`
  }
  const tell = () => say(words())
  function redraw() {
    const parts = shares(codes[layer][head], place)
    const most = Math.max(...parts)
    cells.forEach((cell, i) => {
      cell.classList.toggle('here', i === place)
      cell.classList.toggle('later', i > place)
      const part = parts[i] ?? 0
      cell.lastChild.style.height = `${(15 * part) / most}px`
      cell.style.background = part ? `rgba(0, 114, 178, ${((0.45 * part) / most).toFixed(3)})` : ''
    })
    slider.value = place
    slider.setAttribute('aria-valuetext', `${spoken(characters[place])}, ${place + 1} of ${characters.length}`)
    layers.lastChild.value = layer
    heads.lastChild.value = head
  }
  function go(to, at_once) {
    if (to === place && !at_once) return
    place = to
    redraw()
    send()
    quiet()
  }
  function turn(to, at) {
    layer = to
    head = at
    redraw()
    send()
    tell()
  }
  function load() {
    layer = model.get('layer')
    head = model.get('head')
    place = model.get('place')
    redraw()
    tell()
  }
  load()
  return () => {
    play.halt()
    send.end()
  }
}
export default {render}
export {shares, largest}
