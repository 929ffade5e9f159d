// valley: steps through a bowl with two curvatures; rate and momentum on sliders, the start under your hand.

// Places [along, across] and losses, at the start and after each step; ended before numbers overflow.
function roll([flat, steep], start, lr, momentum, steps) {
  const curves = [flat, steep]
  const lossAt = p => p.reduce((s, v, i) => s + (curves[i] * v * v) / 2, 0)
  const path = [start]
  const losses = [lossAt(start)]
  const sums = [0, 0]
  for (let k = 0; k < steps; k++) {
    const next = path[k].map((v, i) => {
      sums[i] = momentum * sums[i] + curves[i] * v
      return v - lr * sums[i]
    })
    const loss = lossAt(next)
    if (!(loss < 1e30)) break
    path.push(next)
    losses.push(loss)
  }
  return {path, losses}
}

function render({model, el}) {
  const {curves, ends, begin, steps, most} = model.get('data')
  let lr, momentum, start
  const [wide, high] = ends
  const c = plot({
    width: 400,
    height: 252,
    least: 180,
    x: [-wide, wide],
    y: [-high, high],
    xname: 'along the valley',
    yname: 'across'
  })
  const top = (curves[0] * wide * wide + curves[1] * high * high) / 2
  const rings = HEAT.slice(0, -1).map((fill, k) => draw('ellipse', {fill, class: 'ch-ring'}))
  const ground = draw('rect', {fill: HEAT.at(-1)})
  const trails = [draw('path', {class: 'ch-trail under'}), draw('path', {class: 'ch-trail'})]
  const stops = draw('path', {class: 'ch-stops'})
  const best = draw('path', {class: 'ch-best', d: 'M0-6L6 0L0 6L-6 0Z'})
  c.inside.append(ground, ...[...rings].reverse(), ...trails, stops, best)
  const grip = draw(
    'g',
    {
      class: 'ch-grip',
      tabindex: 0,
      role: 'slider',
      'aria-label': 'start',
      'data-lm-suppress-shortcuts': 'true',
      keydown: e => {
        const by = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[e.key]
        if (!by) return
        e.preventDefault()
        place(start.map((v, i) => v + (by[i] * ends[i]) / 40))
        quiet()
      }
    },
    draw('circle', {r: 13, class: 'ch-hit'}),
    draw('circle', {r: 10}),
    draw('text', {'text-anchor': 'middle', y: 4}, 'S')
  )
  c.svg.append(grip)
  c.svg.classList.add('ch-hold')
  set(c.svg, {role: 'group'})
  const past = lossPlot({height: 190, xname: 'steps', yname: 'loss', label: 'Loss after each step', end: steps})
  const score = scores(['steps', 'loss', 'left across', 'left along'])

  const bad = text => say(text, true)
  const settle = () => {
    send()
    say(verdict())
  }
  const rates = track({
    min: Math.log10(most / 500),
    max: Math.log10(most),
    step: 0.005,
    'aria-label': 'learning rate',
    input: () => turn(+(10 ** rates.value).toPrecision(3), momentum),
    change: () => settle()
  })
  const rate = rateBox({
    name: 'learning rate, exact value',
    value: model.get('lr'),
    move: v => turn(v, momentum),
    settle,
    bad
  })
  const keeps = track({
    min: 0,
    max: 0.99,
    step: 0.01,
    'aria-label': 'momentum',
    input: () => turn(lr, +keeps.value),
    change: () => settle()
  })
  const keep = box({
    label: 'momentum',
    name: 'momentum, exact value',
    value: model.get('momentum'),
    step: 0.01,
    ok: v => v >= 0 && v < 1,
    why: 'a number from 0 to below 1',
    move: v => turn(lr, v),
    settle,
    bad
  })
  const reset = button('reset', () => {
    lr = begin.lr
    momentum = begin.momentum
    place(begin.start)
    settle()
  })
  const hand = panel(
    score.node,
    knobRow('learning rate', rates, rate.input, ' long'),
    knobRow('momentum', keeps, keep.input, ' long'),
    make('div', {class: 'ch-bar'}, reset, make('span', {class: 'ch-key'}, 'Drag S, the start, or use its arrow keys.'))
  )
  const key = make('span', {class: 'ch-key'}, make('span', {class: 'ch-lowest'}, '◆'), ' lowest place')
  const {voice, say} = shell(
    el,
    make(
      'div',
      {class: 'ch-cols ch-rate'},
      panel(title('The valley: dark is low', key), c.svg),
      hand,
      panel(title('Loss after each step'), past.svg)
    )
  )
  hand.append(voice)
  let walked
  const send = exchange(model, ['lr', 'momentum', 'start'], () => ({lr, momentum, start: start.map(Math.fround)}), load)
  const quiet = later(400, () => say(verdict()))

  function turn(rate, part) {
    lr = rate
    momentum = part
    redraw()
    send()
  }
  function place(at) {
    start = at.map((v, i) => +clamp(v, -ends[i], ends[i]).toFixed(4))
    redraw()
    send()
  }
  c.svg.addEventListener('pointermove', e => {
    if (!grip.hasPointerCapture(e.pointerId)) return
    const r = c.svg.getBoundingClientRect()
    const k = c.width / r.width
    place([c.sx.back((e.clientX - r.left) * k), c.sy.back((e.clientY - r.top) * k)])
  })
  grip.addEventListener('pointerdown', e => {
    grip.setPointerCapture(e.pointerId)
    grip.focus({preventScroll: true})
    e.preventDefault()
  })
  grip.addEventListener('pointerup', () => settle())

  const left = i => Math.abs(walked.path.at(-1)[i]) / Math.max(Math.abs(start[i]), 1e-9)
  const share = v => (v > 10 ? `${num(v, 2)} times` : `${+(100 * v).toPrecision(2)} %`)
  function verdict() {
    const {path, losses} = walked
    const [first, last] = [losses[0], losses.at(-1)]
    const told = `lr ${short(lr)}, momentum ${short(momentum)}: loss ${num(first)} to ${num(last)}`
    if (last > first) return `${told}. It explodes: a step ends higher than it began.`
    const swings = path.length > 2 && path[1][1] * start[1] < 0
    const how = swings ? 'The path jumps from side to side' : 'The path comes down one side'
    return `${told}. ${how}; left after ${path.length - 1} steps: ${share(left(1))} across, ${share(left(0))} along.`
  }
  function lay() {
    set(ground, {x: c.l, y: c.t, width: c.r - c.l, height: c.b - c.t})
    rings.forEach((ring, k) => {
      const loss = top * 0.55 ** (HEAT.length - 1 - k)
      const [rx, ry] = curves.map(v => Math.sqrt((2 * loss) / v))
      set(ring, {cx: c.sx(0), cy: c.sy(0), rx: c.sx(rx) - c.sx(0), ry: c.sy(0) - c.sy(ry)})
    })
    set(best, {transform: `translate(${c.sx(0)} ${c.sy(0)})`})
    if (walked) redraw()
  }
  function redraw() {
    walked = roll(curves, start, lr, momentum, steps)
    const {path, losses} = walked
    const [xs, ys] = [0, 1].map(i => path.map(p => clamp(p[i], -99 * ends[i], 99 * ends[i])))
    const d = line(xs, ys, c.sx, c.sy)
    trails.forEach(trail => set(trail, {d}))
    set(stops, {d: d.replaceAll('L', 'M').replace(/M[^M]+/g, at => `${at}h0`)})
    const told = verdict()
    set(c.svg, {'aria-label': `Path of ${path.length - 1} steps through a valley. ${told}`})
    set(grip, {
      transform: `translate(${c.sx(start[0]).toFixed(1)} ${c.sy(start[1]).toFixed(1)})`,
      'aria-valuenow': start[0],
      'aria-valuemin': -wide,
      'aria-valuemax': wide,
      'aria-valuetext': `${short(start[0])} along, ${short(start[1])} across`
    })
    past.show(losses, told)
    score.show([path.length - 1, num(losses.at(-1)), share(left(1)), share(left(0))])
    rates.value = Math.log10(lr)
    rates.setAttribute('aria-valuetext', short(lr))
    rate.show(lr)
    keeps.value = momentum
    keeps.setAttribute('aria-valuetext', short(momentum))
    keep.show(momentum)
  }
  function load() {
    lr = model.get('lr')
    momentum = model.get('momentum')
    start = model.get('start').map(v => +v.toPrecision(7))
    redraw()
    say(verdict())
  }
  c.keep(lay)
  load()
  c.fit()
  past.fit()
  return send.end
}
export default {render}
export {roll}
