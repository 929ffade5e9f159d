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

// Where the parts stand on a sheet of this width: in a row with w, b and y above, or in a column with them beside.
// Every place is [x, y]; `gap` is the length of the arrows that carry numbers.
function places(squash, wide) {
  const least = squash ? 670 : 546
  const row = wide >= least * 0.95
  const w = clamp(wide, row ? least : 260, row ? 940 : 400)
  const gap = row ? (w - (squash ? 368 : 328)) / (squash ? 3.6 : 2.6) : 64
  const half = row ? 20 : 18
  let at = row ? 30 : 26
  const go = (before, arrow, after) => (at += before + arrow + after)
  const first = at
  const mul = go(24, row ? gap * 0.6 : 20, half)
  const add = go(half, gap, half)
  const sig = squash ? go(half, gap, half) : 0
  const loss = go(half, gap, row ? 48 : half)
  const end = go(row ? 48 : half, row ? 26 : 22, 32)
  const put = row ? v => [v, 118] : v => [w * 0.46, v]
  const side = row ? v => [v, 32] : v => [w - 70, v]
  const main = {x: put(first), mul: put(mul), add: put(add), sig: put(sig), loss: put(loss), end: put(end)}
  return {...main, w: side(mul), b: side(add), y: side(loss), row, size: row ? [w, 190] : [w, end + 36]}
}

// The drawing of the neuron: circles hold given numbers, boxes do something with them.
// Forward numbers stand on the solid arrows, backward numbers at the dashed ones.
// show(p, forward, backward) reveals the first `forward` and `backward` stages.
function wiring({squash, xname, yname}) {
  const svg = draw('svg', {role: 'img'})
  let back, front, edges, cells, at
  let last = null
  const stages = squash ? [5, 4] : [4, 3]
  const whole = stages[0]
  const word = ([x, y], anchor = 'middle', style = '') =>
    front.appendChild(draw('text', {x, y, 'text-anchor': anchor, style: `font-size:12px;${style}`}))
  const tip = ([x, y], dx, dy, colour) =>
    draw('path', {
      d: `M${x} ${y}L${x - 8 * dx - 4 * dy} ${y - 8 * dy - 4 * dx}L${x - 8 * dx + 4 * dy} ${y - 8 * dy + 4 * dx}Z`,
      style: `fill:${colour}`
    })
  const bold = 'fill:var(--blue);font-weight:600'
  const red = 'fill:var(--red);font-weight:600'
  const way = (from, to) => `M${from}L${to}`
  // An edge from one part to the next, each with room for its half; the forward number and its stage, the backward
  // number and its stage. Numbers stand above and below an arrow that lies, right and left of one that stands.
  function edge(from, to, r0, r1, fname, fstage, bname, bstage) {
    const [dx, dy] = [Math.sign(to[0] - from[0]), Math.sign(to[1] - from[1])]
    const a = [from[0] + dx * r0, from[1] + dy * r0]
    const z = [to[0] - dx * r1, to[1] - dy * r1]
    const [mx, my] = [(a[0] + z[0]) / 2, (a[1] + z[1]) / 2]
    const plain = draw('path', {d: way(a, z), class: 'ch-frame'})
    const go = draw(
      'g',
      {},
      draw('path', {d: way(a, z), style: 'stroke:var(--blue);stroke-width:2.5'}),
      tip(z, dx, dy, 'var(--blue)')
    )
    const beside = ([x, y]) => (dy ? [x - 9, y] : [x, y + 9])
    const come = draw(
      'g',
      {},
      draw('path', {
        d: way(beside(a), beside(z)),
        style: 'stroke:var(--red);stroke-width:2;stroke-dasharray:5 3'
      }),
      tip(beside(a), -dx, -dy, 'var(--red)')
    )
    back.append(plain, go, ...(bname ? [come] : []))
    const ahead = fname && (dy ? word([mx + 10, my + 4], 'start', bold) : word([mx, my - 9], 'middle', bold))
    const below = my + (at.row ? 28 : 34)
    const felt = bname && (dy ? word([mx - 16, my + 4], 'end', red) : word([mx, below], 'middle', red))
    edges.push({plain, go, come, ahead, felt, fname, fstage, bname, bstage})
  }
  const circle = ([x, y], r = 24) => {
    front.append(
      draw('circle', {
        cx: x,
        cy: y,
        r,
        style: 'fill:var(--jp-layout-color1, Canvas);stroke:currentColor;stroke-width:1.4'
      })
    )
    return word([x, y + 4], 'middle', 'font-weight:600')
  }
  const named = (place, anchor, text) => {
    word(place, anchor, 'font-style:italic').textContent = text
  }
  const does = ([x, y], text, wide = 40) => {
    const tall = at.row ? 40 : 36
    front.append(
      draw('rect', {
        x: x - wide / 2,
        y: y - tall / 2,
        width: wide,
        height: tall,
        rx: 6,
        style: 'fill:var(--jp-layout-color2, rgba(128,128,128,.14));stroke:currentColor;stroke-width:1.4'
      })
    )
    word([x, y + 5], 'middle', `font-size:${wide > 40 ? 13 : 15}px;font-weight:600`).textContent = text
  }
  function build(wide) {
    at = places(squash, wide)
    edges = []
    back = draw('g')
    front = draw('g')
    set(svg, {viewBox: `0 0 ${at.size.join(' ')}`, style: at.row ? '' : 'max-width:400px;margin:auto'})
    svg.replaceChildren(back, front)
    const half = at.row ? 20 : 18
    const far = at.row ? 48 : half
    const side = at.row ? half : 20
    edge(at.x, at.mul, 24, half, null, 1)
    edge(at.w, at.mul, 24, side, null, 1, 'dw', squash ? 4 : 3)
    edge(at.mul, at.add, half, half, 'w·x', 2, 'dwx', squash ? 3 : 2)
    edge(at.b, at.add, 24, side, null, 2, 'db', squash ? 3 : 2)
    if (squash) edge(at.add, at.sig, half, half, 'z', 3, 'dz', 2)
    edge(squash ? at.sig : at.add, at.loss, half, far, 'pred', whole - 1, 'dpred', 1)
    edge(at.y, at.loss, 24, at.row ? half : 48, null, whole - 1)
    edge(at.loss, at.end, far, 32, null, whole)
    cells = {x: circle(at.x), w: circle(at.w), b: circle(at.b), y: circle(at.y), loss: circle(at.end, 32)}
    const given = {w: 'weight w', b: 'bias b', y: yname}
    for (const name in given) {
      const [x, y] = at[name]
      at.row ? named([x + 30, y + 4], 'start', given[name]) : named([x, y - 29], 'middle', given[name])
    }
    const [[x, y], [ex, ey]] = [at.x, at.end]
    at.row ? named([x, y + 38], 'middle', xname) : named([x - 30, y + 4], 'end', xname)
    at.row ? named([ex, ey + 46], 'middle', 'loss') : named([ex - 38, ey + 4], 'end', 'loss')
    does(at.mul, '×')
    does(at.add, '+')
    does(at.loss, '(pred − y)²', 96)
    if (squash) does(at.sig, 'σ')
    if (last) show(...last)
  }
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
    last = [p, forward, backward]
    for (const name of ['x', 'w', 'b', 'y']) write(cells[name], brief(p[name]))
    write(cells.loss, forward >= whole ? brief(p.loss) : '?')
    for (const e of edges) {
      const on = forward >= e.fstage
      const off = e.bname && backward >= e.bstage
      set(e.go, {visibility: on ? 'visible' : 'hidden'})
      set(e.come, {visibility: off ? 'visible' : 'hidden'})
      if (e.ahead) write(e.ahead, on ? `${e.fname} = ${told(value[e.fname](p))}` : '')
      if (e.felt) write(e.felt, off ? `${e.bname} = ${told(value[e.bname](p))}` : '')
    }
  }
  build(940)
  return {svg, show, stages, fit: () => watch(svg.parentNode, build)}
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
      sheet.svg
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
  c.keep(redraw)
  ;[sheet, c, past].forEach(one => one.fit())
  return () => {
    clearTimeout(timer)
    send.end()
  }
}
export default {render}
export {passes, average}
