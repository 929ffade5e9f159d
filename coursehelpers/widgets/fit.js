// fit_by_hand: move the parameters, see the curve, the score and where you stand on the loss surface.

function render({model, el}) {
  const data = model.get('data')
  const {x, y, grid, names, ends, start} = data
  const maths = linear(data)
  let w, history, best, moves, steps, lr, trail
  let residuals = true

  // The pictures
  const seen = plot({width: 360, height: 270, x: data.xlim, y: data.ylim, xname: 'x', yname: 'y'})
  const sticks = draw('path', {class: 'ch-stick'})
  const curve = draw('path', {class: 'ch-curve'})
  seen.inside.append(sticks, curve)
  dots(seen, x, y)
  const toggle = make('input', {
    type: 'checkbox',
    checked: '',
    change: () => {
      residuals = toggle.checked
      redraw()
    }
  })
  const land = surface({data, maths, pick: v => move(v), settle: () => settle()})
  const past = lossPlot({})

  // The controls
  const bad = text => say(text, true)
  const knobs = names.map((label, k) =>
    knob({
      label,
      value: start[k],
      lo: ends[0],
      hi: ends[1],
      step: stepping(ends),
      settle: () => settling(),
      bad,
      move: v => {
        const next = w.slice()
        next[k] = v
        move(next)
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
  const one = button('one gradient step', () => {
    halt()
    const ok = descend()
    redraw()
    done(ok)
  })
  const go = descent({
    loss: () => history.at(-1),
    step: () => descend(),
    frame: () => {
      redraw()
      send()
    },
    started: () => say('Descending …'),
    done: ok => done(ok)
  })
  const halt = go.halt
  const back = button('back to best', () => {
    halt()
    move(best.params.slice())
    settle()
  })
  const reset = button('reset', () => {
    halt()
    begin(start)
    redraw()
    send()
    say('Back to the start.')
  })
  const score = scores(['MSE', 'MAE', 'best MSE', 'moves', 'steps'])
  const hands = make(
    'div',
    {class: 'ch-panel'},
    score.node,
    ...knobs.map(k => k.row),
    make('div', {class: 'ch-bar'}, one, go.node, make('label', {}, 'lr ', rate.input)),
    make('div', {class: 'ch-bar'}, reset, back)
  )
  const book = panel(title('History of the loss'), past.svg)
  const {voice, say} = shell(
    el,
    make(
      'div',
      {class: 'ch-cols ch-four'},
      panel(title('Data and your curve', make('label', {}, toggle, ' residuals')), seen.svg),
      hands,
      land.node,
      book
    )
  )
  hands.append(voice)

  // The state: parameters from the kernel (or the page's model), changed by hands and steps, sent back
  function load() {
    lr = model.get('lr')
    const now = model.get('params')
    if (w.every((v, k) => Math.fround(v) === now[k])) return
    w = [...now]
    moves++
    note()
  }
  function begin(at) {
    w = [...at]
    history = [maths.mse(w)]
    trail = [w]
    moves = steps = 0
    best = {mse: history[0], params: [...w]}
  }
  const send = exchange(
    model,
    ['params', 'lr'],
    () => ({params: w.map(Math.fround), lr}),
    () => {
      halt()
      settling.drop()
      load()
      redraw()
      describe()
    }
  )
  function note() {
    const mse = maths.mse(w)
    history = [...history, mse].slice(-3000)
    trail = [...trail, w].slice(-3000)
    if (mse < best.mse) best = {mse, params: [...w]}
  }

  // What hands and steps do
  function move(next) {
    halt()
    w = next
    redraw()
    send()
  }
  function settle() {
    settling.drop()
    const was = trail[trail.length - 1]
    if (w.every((v, k) => v === was[k])) return
    moves++
    note()
    redraw()
    send()
    say(`MSE ${num(history.at(-1))} after ${counted(moves, 'move')}.`)
    describe()
  }
  const settling = later(250, settle)
  function descend() {
    settling.now()
    const g = maths.grad(w)
    const next = w.map((v, k) => v - lr * g[k])
    const mse = maths.mse(next)
    if (!(mse < 1e9 * (1 + best.mse))) return false
    w = next
    steps++
    note()
    return true
  }
  function done(ok) {
    const [was, now] = history.slice(-2)
    send()
    describe()
    if (!ok) say('The loss exploded: lower the learning rate, then reset.', true)
    else
      say(
        now > was
          ? `MSE went up to ${num(now)}: the learning rate may be too large.`
          : `MSE ${num(now)} after ${counted(steps, 'step')}.`
      )
  }

  // Drawing: only what changed
  function redraw() {
    set(curve, {d: line(grid.x, maths.preds(w, grid.basis, grid.offset), seen.sx, seen.sy)})
    const p = residuals ? maths.preds(w) : []
    set(sticks, {
      d: p
        .map(
          (v, i) =>
            `M${seen.sx(x[i]).toFixed(1)} ${seen.sy(y[i]).toFixed(1)}V${clamp(seen.sy(v), -4e3, 4e3).toFixed(1)}`
        )
        .join('')
    })
    knobs.forEach((k, i) => k.show(w[i]))
    rate.show(lr)
    score.show([num(maths.mse(w)), num(maths.mae(w)), num(best.mse), moves, steps])
    back.disabled = best.params.every((v, i) => v === w[i])
    land.show({w, path: [...trail, w], star: best.params})
    past.show(history)
  }
  function describe() {
    const at = names.map((n, k) => `${n} = ${short(w[k])}`).join(', ')
    set(seen.svg, {'aria-label': `${x.length} points and the curve with ${at}`})
    land.alt(`Loss surface over ${land.pair().join(' and ')}; you stand at ${at}, MSE ${num(maths.mse(w))}`)
    past.show(
      history,
      `now ${num(history.at(-1))}, best ${num(best.mse)}, ${counted(moves, 'move')} and ${counted(steps, 'step')}`
    )
  }

  begin(model.get('params'))
  lr = model.get('lr')
  seen.keep(redraw)
  describe()
  ;[seen, land, past].forEach(c => c.fit())
  return () => {
    halt()
    settling.drop()
    send.end()
  }
}
export default {render}
export {linear, slice}
