// lr_explorer: the same number of steps from the same place, with the learning rate in your hand.

function walk(maths, start, lr, steps) {
  const path = [start]
  const losses = [maths.mse(start)]
  for (let k = 0; k < steps; k++) {
    const w = path[k]
    const g = maths.grad(w)
    const next = w.map((v, i) => v - lr * g[i])
    const loss = maths.mse(next)
    if (!(loss < 1e30)) break
    path.push(next)
    losses.push(loss)
  }
  return {path, losses}
}

function render({model, el}) {
  const data = model.get('data')
  const maths = linear(data)
  const {names, start, steps, rates, floor, low} = data
  let lr
  const land = surface({data, maths})
  const past = lossPlot({height: 270, xname: 'steps', label: 'Loss after each step', end: steps})
  const move = v => {
    lr = v
    redraw()
    send()
  }
  const settle = () => say(verdict())
  const slider = track({
    min: Math.log10(rates[0]),
    max: Math.log10(rates[1]),
    step: 0.01,
    'aria-label': 'learning rate',
    input: () => move(+(10 ** slider.value).toPrecision(3)),
    change: () => settle()
  })
  const number = rateBox({
    name: 'learning rate, exact value',
    value: model.get('lr'),
    move,
    settle,
    bad: text => say(text, true)
  })
  const row = knobRow('learning rate', slider, number.input, ' long')
  const hand = panel(row)
  const {voice, say} = shell(
    el,
    make('div', {class: 'ch-cols ch-rate'}, land.node, hand, panel(title('Loss after each step'), past.svg))
  )
  hand.append(voice)
  let walked
  const send = exchange(
    model,
    ['lr'],
    () => ({lr}),
    load
  )
  function verdict() {
    const {losses} = walked
    const [first, last] = [losses[0], losses.at(-1)]
    const way = (first - last) / (first - floor)
    if (last > first)
      return `lr ${short(lr)} is too large: the steps overshoot and the loss grows, ${num(first)} to ${num(last)}.`
    const [p, q, r] = walked.path.slice(-3)
    const swings = q.reduce((s, v, i) => s + (v - p[i]) * (r[i] - v), 0) < 0
    const word = way >= 0.95 ? 'about right' : swings ? 'too large: the steps swing from side to side' : 'too small'
    const share = Math.floor(1000 * way) / 10
    const after = `${share} % of the way down after ${steps} steps`
    return `lr ${short(lr)} is ${word}: ${after}, MSE ${num(first)} to ${num(last)}.`
  }
  function redraw() {
    walked = walk(maths, start, lr, steps)
    land.show({w: walked.path.at(-1), path: walked.path, star: low, through: low})
    past.show(walked.losses, verdict())
    land.alt(`Path of ${steps} steps over ${land.pair().join(' and ')}. ${verdict()}`)
    number.show(lr)
    slider.value = Math.log10(lr)
    slider.setAttribute('aria-valuetext', short(lr))
  }
  function load() {
    lr = model.get('lr')
    redraw()
    settle()
  }
  load()
  land.fit()
  past.fit()
  return send.end
}
export default {render}
export {walk}
