// lr_explorer: the same number of steps from the same place, with the learning rate in your hand.

function walk(maths, start, lr, steps) {
  const path = [start], losses = [maths.mse(start)]
  for (let k = 0; k < steps; k++) {
    const w = path[k], g = maths.grad(w), next = w.map((v, i) => v - lr * g[i]), loss = maths.mse(next)
    if (!(loss < 1e30)) break
    path.push(next); losses.push(loss)
  }
  return {path, losses}
}

function render({model, el}) {
  const data = model.get('data'), maths = linear(data), {names, start, steps, rates, floor} = data
  let lr, mine = false
  const land = surface({data, maths}), past = lossPlot({height: 270, xname: 'steps', label: 'Loss after each step', end: steps})
  const move = v => { lr = v; redraw(); send() }, settle = () => say(verdict())
  const slider = make('input', {type: 'range', min: Math.log10(rates[0]), max: Math.log10(rates[1]), step: 0.01, 'aria-label': 'learning rate',
    'data-lm-suppress-shortcuts': 'true', input: () => move(+(10 ** slider.value).toPrecision(3)), change: () => settle()})
  const number = box({label: 'learning rate', name: 'learning rate, exact value', value: model.get('lr'), step: 'any', ok: v => v > 0 && v <= 1e6,
    why: 'a number above 0', move, settle, bad: text => say(text, true)})
  const row = make('div', {class: 'ch-knob long'}, make('span', {class: 'ch-name', 'aria-hidden': 'true'}, 'learning rate'), slider, number.input)
  const {say} = shell(el, make('div', {class: 'ch-cols'}, land.node, panel(title('Loss after each step'), past.svg)), row)
  let walked
  const send = throttled(60, () => {
    mine = true
    for (const [name, value] of Object.entries({lr, losses: walked.losses, params: walked.path.at(-1).map(v => clamp(Math.fround(v), -3e38, 3e38))})) model.set(name, value)
    model.save_changes()
    mine = false
  })
  function verdict() {
    const {losses} = walked, [first, last] = [losses[0], losses.at(-1)], way = (first - last) / (first - floor)
    if (last > first) return `lr ${short(lr)} is too large: the steps overshoot and the loss grows, ${num(first)} to ${num(last)}.`
    const [p, q, r] = walked.path.slice(-3), swings = q.reduce((s, v, i) => s + (v - p[i]) * (r[i] - v), 0) < 0
    const word = way >= 0.95 ? 'about right' : swings ? 'too large: the steps swing from side to side' : 'too small'
    return `lr ${short(lr)} is ${word}: ${Math.floor(1000 * way) / 10} % of the way down after ${steps} steps, MSE ${num(first)} to ${num(last)}.`
  }
  function redraw() {
    walked = walk(maths, start, lr, steps)
    land.show({w: walked.path.at(-1), path: walked.path, star: null})
    past.show(walked.losses, verdict())
    land.alt(`Path of ${steps} steps over ${land.pair().join(' and ')}. ${verdict()}`)
    number.show(lr)
    slider.value = Math.log10(lr)
    slider.setAttribute('aria-valuetext', short(lr))
  }
  const heard = () => { if (!mine) { send.drop(); load() } }
  function load() { lr = model.get('lr'); redraw(); settle() }
  model.on('change:lr', heard)
  load()
  return () => model.off('change:lr', heard)
}
export default {render}
export {walk}
