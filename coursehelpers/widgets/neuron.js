// one_neuron: one weight, one bias, and the numbers that flow forward, back, and into a step.

// Numbers as people write them: four digits with a trailing zero, and in the circles only as many as there is room for.
const told = v => (v && Math.abs(v) >= 1e-5 && Math.abs(v) < 1e-3 ? v.toPrecision(3) : num(v)).replaceAll('-', '−')
const brief = v =>
  v && (Math.abs(v) < 1e-3 || Math.abs(v) >= 1e5) ? num(v, 2) : short(+v.toPrecision(Math.abs(v) < 10 ? 3 : 4))
const squashed = z => 1 / (1 + Math.exp(-z))
// Forward and backward of one neuron on one example. dz is how fast the loss moves with z, and so on.
function passes(x, y, w, b, squash) {
  const wx = w * x
  const z = wx + b
  const pred = squash ? squashed(z) : z
  const off = pred - y
  const dpred = 2 * off
  const dz = squash ? dpred * pred * (1 - pred) : dpred
  return {wx, z, pred, loss: off * off, dpred, dz, dw: dz * x, db: dz}
}
// Loss and gradient, each the mean over all examples.
function average(xs, ys, w, b, squash) {
  const each = xs.map((x, i) => passes(x, ys[i], w, b, squash))
  const mean = name => each.reduce((s, p) => s + p[name], 0) / each.length
  return {loss: mean('loss'), dw: mean('dw'), db: mean('db')}
}

// The drawing of the neuron: circles hold given numbers, boxes do something with them.
// Forward numbers stand on the solid arrows, backward numbers under the dashed ones.
// show(p, forward, backward) reveals the first `forward` and `backward` stages.
function wiring({squash, xname, yname}) {
  const mid = 118
  const top = 32
  const at = squash
    ? {x: 40, mul: 172, add: 316, sig: 456, loss: 634, end: 744}
    : {x: 40, mul: 206, add: 380, loss: 594, end: 744}
  const back = draw('g')
  const front = draw('g')
  const svg = draw('svg', {viewBox: '0 0 780 190', role: 'img', style: 'min-width:600px'}, back, front)
  const word = (x, y, anchor = 'middle', style = '') =>
    front.appendChild(draw('text', {x, y, 'text-anchor': anchor, style: `font-size:12px;${style}`}))
  const tip = (x, y, dx, dy, colour) =>
    draw('path', {
      d: `M${x} ${y}L${x - 8 * dx - 4 * dy} ${y - 8 * dy - 4 * dx}L${x - 8 * dx + 4 * dy} ${y - 8 * dy + 4 * dx}Z`,
      style: `fill:${colour}`
    })
  const bold = 'fill:var(--blue);font-weight:600'
  const red = 'fill:var(--red);font-weight:600'
  const edges = []
  // An edge: its ends, the forward number and its stage, the backward number and its stage.
  function edge([x0, y0], [x1, y1], fname, fstage, bname, bstage) {
    const flat = y0 === y1
    const [dx, dy] = flat ? [1, 0] : [0, 1]
    const m = flat ? (x0 + x1) / 2 : x0
    const plain = draw('path', {d: `M${x0} ${y0}L${x1} ${y1}`, class: 'ch-frame'})
    const go = draw(
      'g',
      {},
      draw('path', {d: `M${x0} ${y0}L${x1} ${y1}`, style: 'stroke:var(--blue);stroke-width:2.5'}),
      tip(x1, y1, dx, dy, 'var(--blue)')
    )
    const [ox, oy] = flat ? [0, 9] : [-9, 0]
    const come = draw(
      'g',
      {},
      draw('path', {
        d: `M${x0 + ox} ${y0 + oy}L${x1 + ox} ${y1 + oy}`,
        style: 'stroke:var(--red);stroke-width:2;stroke-dasharray:5 3'
      }),
      tip(x0 + ox, y0 + oy, -dx, -dy, 'var(--red)')
    )
    back.append(plain, go, ...(bname ? [come] : []))
    const ahead = fname && (flat ? word(m, y0 - 9, 'middle', bold) : null)
    const felt = bname && (flat ? word(m, y0 + 28, 'middle', red) : word(m - 16, (y0 + y1) / 2 + 4, 'end', red))
    edges.push({plain, go, come, ahead, felt, fname, fstage, bname, bstage})
  }
  const circle = (x, y, name, r = 24) => {
    front.append(
      draw('circle', {
        cx: x,
        cy: y,
        r,
        style: 'fill:var(--jp-layout-color1, Canvas);stroke:currentColor;stroke-width:1.4'
      })
    )
    const t = word(x, y + 4, 'middle', 'font-weight:600')
    word(x, y === top ? y + 4 : y + r + 14, y === top ? 'start' : 'middle', 'font-style:italic').textContent = name
    if (y === top) set(front.lastChild, {x: x + r + 6})
    return t
  }
  const does = (x, text, wide = 40) => {
    front.append(
      draw('rect', {
        x: x - wide / 2,
        y: mid - 20,
        width: wide,
        height: 40,
        rx: 6,
        style: 'fill:var(--jp-layout-color2, rgba(128,128,128,.14));stroke:currentColor;stroke-width:1.4'
      })
    )
    word(x, mid + 5, 'middle', `font-size:${wide > 40 ? 13 : 15}px;font-weight:600`).textContent = text
  }
  const last = squash ? 5 : 4
  edge([at.x + 24, mid], [at.mul - 20, mid], null, 1)
  edge([at.mul, top + 24], [at.mul, mid - 20], null, 1, 'dw', squash ? 4 : 3)
  edge([at.mul + 20, mid], [at.add - 20, mid], 'w·x', 2, 'dwx', squash ? 3 : 2)
  edge([at.add, top + 24], [at.add, mid - 20], null, 2, 'db', squash ? 3 : 2)
  if (squash) edge([at.add + 20, mid], [at.sig - 20, mid], 'z', 3, 'dz', 2)
  edge([(squash ? at.sig : at.add) + 20, mid], [at.loss - 48, mid], 'pred', last - 1, 'dpred', 1)
  edge([at.loss, top + 24], [at.loss, mid - 20], null, last - 1)
  edge([at.loss + 48, mid], [at.end - 32, mid], null, last)
  const cells = {
    x: circle(at.x, mid, xname),
    w: circle(at.mul, top, 'weight w'),
    b: circle(at.add, top, 'bias b'),
    y: circle(at.loss, top, yname),
    loss: circle(at.end, mid, 'loss', 32)
  }
  does(at.mul, '×')
  does(at.add, '+')
  does(at.loss, '(pred − y)²', 96)
  if (squash) does(at.sig, 'σ')
  const value = {
    'w·x': p => p.wx,
    z: p => p.z,
    pred: p => p.pred,
    dpred: p => p.dpred,
    dz: p => p.dz,
    dwx: p => p.dz,
    dw: p => p.dw,
    db: p => p.db
  }
  function show(p, forward, backward) {
    for (const name of ['x', 'w', 'b', 'y']) write(cells[name], brief(p[name]))
    write(cells.loss, forward >= last ? brief(p.loss) : '?')
    for (const e of edges) {
      const on = forward >= e.fstage
      const off = e.bname && backward >= e.bstage
      set(e.go, {visibility: on ? 'visible' : 'hidden'})
      set(e.come, {visibility: off ? 'visible' : 'hidden'})
      if (e.ahead) write(e.ahead, on ? `${e.fname} = ${told(value[e.fname](p))}` : '')
      if (e.felt) write(e.felt, off ? `${e.bname} = ${told(value[e.bname](p))}` : '')
    }
  }
  return {svg, show, stages: [last, squash ? 4 : 3]}
}

function render({model, el}) {
  const data = model.get('data')
  const {x, y, squash, xname, yname, ranges, xlim, ylim, start} = data
  const sheet = wiring(data)
  const [whole, home] = sheet.stages
  const grid = Array.from({length: 61}, (_, i) => xlim[0] + ((xlim[1] - xlim[0]) * i) / 60)
  let w, b, lr, at, history
  let phase = 'start'
  let steps = 0
  let seen = [0, 0]
  let timer = 0

  // The pictures
  const c = plot({width: 360, height: 240, x: xlim, y: ylim, xname, yname})
  const curve = draw('path', {class: 'ch-curve'})
  const stick = draw('path', {class: 'ch-stick', style: 'stroke-width:2'})
  const ring = draw('circle', {r: 7.5, style: 'fill:none;stroke:var(--red);stroke-width:2.5'})
  c.inside.append(curve, stick)
  dots(c, x, y)
  c.inside.append(ring)
  const past = lossPlot({height: 240, xname: 'moves and steps', label: 'Mean loss after each move or step'})

  // The controls
  const bad = text => say(text, true)
  const knobs = ['w', 'b'].map((label, k) =>
    knob({
      label,
      value: start[label],
      lo: ranges[k][0],
      hi: ranges[k][1],
      step: ranges[k][2],
      settle: () => moved(),
      bad,
      move: v => {
        still()
        k ? (b = v) : (w = v)
        redraw()
        send()
      }
    })
  )
  const rate = rateBox({
    value: model.get('lr'),
    move: v => {
      lr = v
    },
    settle: () => send(),
    bad
  })
  const which = make(
    'select',
    {'aria-label': 'example', change: () => go(+which.value)},
    ...x.map((v, i) => make('option', {value: i}, `${i + 1}: ${brief(v)} → ${brief(y[i])}`))
  )
  const does = {forward, backward, step}
  const three = Object.keys(does).map((name, i) => button(`${i + 1} ${name}`, () => does[name]()))
  const next = button('next example', () => go((at + 1) % x.length))
  const ten = button('10 steps on all', () => many(10))
  const reset = button('reset', () => {
    still()
    begin()
    redraw()
    send()
    say('Back to the start. Press forward.')
  })
  const score = scores(['loss, this example', 'mean loss, all', 'steps'])
  const bar = make(
    'div',
    {class: 'ch-bar'},
    ...three,
    make('label', {}, 'example ', which),
    next,
    make('label', {}, 'lr ', rate.input),
    ten,
    reset
  )
  const {voice, say} = shell(
    el,
    panel(
      title(
        'One neuron',
        make(
          'span',
          {class: 'ch-key', style: 'margin-left:12px'},
          'solid → forward: the loss · dashed ← backward: how fast the loss moves with each number'
        )
      ),
      make('div', {style: 'overflow-x:auto'}, sheet.svg)
    ),
    bar,
    make('div', {class: 'ch-cols'}, panel(...knobs.map(k => k.row)), panel(score.node)),
    make(
      'div',
      {class: 'ch-cols'},
      panel(title(squash ? 'The examples and your curve' : 'The examples and your line'), c.svg),
      panel(title('Mean loss over all examples'), past.svg)
    )
  )

  bar.after(voice)

  // The state: from the kernel (or the page's model), changed by hands and steps, sent back
  const now = () => ({x: x[at], y: y[at], w, b, ...passes(x[at], y[at], w, b, squash)})
  const all = () => average(x, y, w, b, squash)
  function load() {
    w = model.get('w')
    b = model.get('b')
    lr = model.get('lr')
    at = model.get('at')
  }
  function begin() {
    w = start.w
    b = start.b
    at = start.at
    phase = 'start'
    steps = 0
    history = [all().loss]
    seen = stages()
  }
  const stages = () => (phase === 'start' ? [0, 0] : phase === 'forward' ? [whole, 0] : [whole, home])
  const send = exchange(
    model,
    ['w', 'b', 'lr', 'at'],
    () => {
      const {dpred, dz, dw, db} = now()
      return {w, b, lr, at, grads: {dpred, dz, dw, db}}
    },
    () => {
      const was = [w, b]
      still()
      load()
      if (w !== was[0] || b !== was[1]) history = [...history, all().loss].slice(-3000)
      redraw()
    }
  )

  // Forward, backward, step: one after the other
  function still() {
    clearTimeout(timer)
    seen = stages()
  }
  // Reveal the numbers one stage after the other; all at once where motion is unwelcome.
  function flow() {
    clearTimeout(timer)
    const [f, g] = stages()
    if (calm()) seen = [f, g]
    if (seen[0] > f || seen[1] > g) seen = [f, g]
    sheet.show(now(), ...seen)
    if (seen[0] < f) seen = [seen[0] + 1, seen[1]]
    else if (seen[1] < g) seen = [f, seen[1] + 1]
    else return
    timer = setTimeout(flow, 170)
  }
  function forward() {
    seen = [0, 0]
    phase = 'forward'
    const p = now()
    redraw()
    flow()
    send()
    say(
      `Forward: ${told(w)} × ${told(p.x)} = ${told(p.wx)}, plus ${told(b)} is ${told(p.z)}` +
        (squash ? `, squashed ${told(p.pred)}` : '') +
        `. The target is ${told(p.y)}, so the loss is (${told(p.pred - p.y)})² = ${told(p.loss)}.`
    )
  }
  function backward() {
    if (phase === 'start') return say('First forward: there is no loss yet to walk back from.', true)
    seen = [whole, 0]
    phase = 'backward'
    const p = now()
    redraw()
    flow()
    send()
    say(
      `Backward: dpred = 2 × (${told(p.pred - p.y)}) = ${told(p.dpred)}` +
        (squash ? `, times the slope of σ, ${told(p.pred * (1 - p.pred))}, is ${told(p.dz)}` : '') +
        `. For w times x: ${told(p.dw)}. For b times 1: ${told(p.db)}.`
    )
  }
  function step() {
    if (phase !== 'backward')
      return say(`First ${phase === 'start' ? 'forward, then ' : ''}backward: a step needs the gradient.`, true)
    const {dw, db} = now()
    const was = [w, b]
    if (!put(w - lr * dw, b - lr * db)) return
    phase = 'start'
    steps++
    still()
    redraw()
    send()
    const moved = (name, from, slope, to) => `${name} ${told(from)} − ${short(lr)} × ${told(slope)} = ${told(to)}`
    say(`Step: ${moved('w', was[0], dw, w)}, ${moved('b', was[1], db, b)}. Now forward again.`)
  }
  // Take the new numbers, unless the loss explodes there.
  function put(w1, b1) {
    const loss = average(x, y, w1, b1, squash).loss
    if (!(loss < 1e12 * (1 + history[0])) || Math.abs(w1) > 1e12 || Math.abs(b1) > 1e12) {
      say('The loss exploded: lower the learning rate, then reset.', true)
      return false
    }
    w = w1
    b = b1
    history = [...history, loss].slice(-3000)
    return true
  }
  function many(count) {
    const was = all().loss
    let k = 0
    for (; k < count; k++) {
      const g = all()
      if (!put(w - lr * g.dw, b - lr * g.db)) break
      steps++
    }
    still()
    redraw()
    send()
    if (k < count) return
    const change = `${told(was)} to ${told(all().loss)}`
    if (all().loss > was) return say(`The mean loss went up, ${change}: the learning rate is too large.`)
    const how = `Ten steps, each with the mean gradient of all ${x.length} examples`
    say(`${how}: mean loss ${change}, w ${told(w)}, b ${told(b)}.`)
  }
  function go(i) {
    at = i
    phase = 'start'
    still()
    redraw()
    send()
    say(`Example ${i + 1} of ${x.length}. Press forward.`)
  }
  function moved() {
    history = [...history, all().loss].slice(-3000)
    redraw()
    send()
    say(`w ${told(w)}, b ${told(b)}: mean loss ${told(all().loss)}.`)
  }

  // Drawing
  function redraw() {
    const p = now()
    const turn = ['start', 'forward', 'backward'].indexOf(phase)
    sheet.show(p, ...seen)
    three.forEach((o, i) => {
      o.style.fontWeight = i === turn ? 700 : 400
      i === turn ? o.setAttribute('aria-current', 'step') : o.removeAttribute('aria-current')
    })
    set(curve, {
      d: line(
        grid,
        grid.map(v => passes(v, 0, w, b, squash).pred),
        c.sx,
        c.sy
      )
    })
    set(stick, {d: `M${c.sx(p.x).toFixed(1)} ${c.sy(p.y).toFixed(1)}V${clamp(c.sy(p.pred), -4e3, 4e3).toFixed(1)}`})
    set(ring, {cx: c.sx(p.x), cy: c.sy(p.y)})
    knobs[0].show(w)
    knobs[1].show(b)
    rate.show(lr)
    which.value = at
    score.show([turn ? told(p.loss) : '?', told(all().loss), steps])
    past.show(history, `now ${told(history.at(-1))}, ${counted(steps, 'step')}`)
    const g = ', dpred ' + told(p.dpred) + ', dw ' + told(p.dw) + ', db ' + told(p.db)
    const sum = `${xname} ${told(p.x)} times w ${told(w)}, plus b ${told(b)}`
    const end = `gives ${told(p.pred)}; ${yname} is ${told(p.y)}, loss ${told(p.loss)}`
    const soFar = phase === 'start' ? `${sum}; press forward` : `${sum} ${end}${phase === 'backward' ? g : ''}`
    set(sheet.svg, {'aria-label': soFar})
    const shape = `${squash ? 'curve' : 'line'} with w ${told(w)}, b ${told(b)}`
    set(c.svg, {'aria-label': `${x.length} examples and the ${shape}; example ${at + 1} is marked`})
  }
  load()
  history = [all().loss]
  redraw()
  return () => {
    clearTimeout(timer)
    send.end()
  }
}
export default {render}
export {passes, average}
