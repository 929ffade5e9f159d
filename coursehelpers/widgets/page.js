// How a picture lives on its page: waiting, repeating, the outer box, and the tiny model that stands in for a kernel.

// Call f once, wait ms after the last request; .now() runs what is waiting, .drop() forgets it.
function later(ms, f) {
  let timer = 0
  const ask = () => {
    clearTimeout(timer)
    timer = setTimeout(ask.now, ms)
  }
  ask.now = () => {
    if (timer) {
      clearTimeout(timer)
      timer = 0
      f()
    }
  }
  ask.drop = () => {
    clearTimeout(timer)
    timer = 0
  }
  return ask
}
// Call f at most once every ms while requests keep coming, and once after the last.
function throttled(ms, f) {
  let timer = 0
  const run = () => {
    timer = 0
    f()
  }
  const ask = () => {
    timer ||= setTimeout(run, ms)
  }
  ask.drop = () => {
    clearTimeout(timer)
    timer = 0
  }
  return ask
}

// Between picture and kernel: calling it tells the kernel state(), at most once every 60 ms; heard() runs when
// the kernel, not this picture, changed one of `names`; .end() listens no more.
function exchange(model, names, state, heard) {
  let mine = false
  const send = throttled(60, () => {
    mine = true
    const now = state()
    for (const name in now) model.set(name, now[name])
    model.save_changes()
    mine = false
  })
  const hear = () => {
    if (mine) return
    send.drop()
    heard()
  }
  for (const name of names) model.on('change:' + name, hear)
  send.end = () => {
    for (const name of names) model.off('change:' + name, hear)
  }
  return send
}

// The outer box: keys stay inside (JupyterLab would take them as commands), and one polite voice speaks.
function shell(el, ...kids) {
  const voice = make('div', {class: 'ch-say', role: 'status', 'aria-live': 'polite'})
  const root = make(
    'div',
    {class: 'ch', 'data-lm-suppress-shortcuts': 'true', keydown: e => e.stopPropagation()},
    ...kids,
    voice
  )
  el.replaceChildren(root)
  return {
    voice,
    say: (text, loud) => {
      voice.classList.toggle('loud', !!loud)
      write(voice, text)
    }
  }
}

// Repeat step() (false: finished) once a frame, more often later; all at once where motion is unwelcome.
function animate(step, frame, done, most = 3000) {
  let count = 0
  let id = 0
  let over = false
  const finish = () => {
    over = true
    cancelAnimationFrame(id)
    done()
  }
  function tick() {
    for (let k = calm() ? most : count < 60 ? 1 : count < 200 ? 4 : 16; k > 0; k--)
      if (count++ >= most || !step()) {
        over = true
        break
      }
    frame()
    over ? done() : (id = requestAnimationFrame(tick))
  }
  id = requestAnimationFrame(tick)
  return () => {
    if (!over) finish()
  }
}

// The button `descend`: repeats step() until it is pressed again, the loss stands still, or step() gives false.
function descent({loss, step, frame, started, done, most}) {
  let stop = null
  let ok = true
  const node = button('descend', () => (stop ? stop() : run()))
  function once() {
    const was = loss()
    ok = step()
    return ok && Math.abs(was - loss()) > 1e-8 * was
  }
  function over() {
    stop = null
    write(node, 'descend')
    frame()
    done(ok)
  }
  function run() {
    write(node, 'stop')
    started()
    stop = animate(once, frame, over, most)
  }
  return {node, halt: () => stop && stop()}
}

// A model for a page without a kernel: the part of anywidget's model that the pictures use.
function tiny(state) {
  const heard = {}
  return {
    get: name => state[name],
    save_changes() {},
    off() {},
    set: (name, value) => {
      state[name] = value
      ;(heard['change:' + name] || []).forEach(f => f())
    },
    on: (name, f) => (heard[name] ||= []).push(f)
  }
}
function mount(name, state, tries = 100) {
  const el = document.querySelector(`[data-ch="${name}"]:not([data-live])`)
  if (!el) return tries && setTimeout(mount, 50, name, state, tries - 1)
  el.dataset.live = ''
  render({model: tiny(state), el})
}
