// The cleaner: pictures, each to be kept, given another label, or set aside.
// Every choice goes to Python at once, which writes it down.

const fold = text =>
  text
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[\s_-]+/g, ' ')
const matching = (vocab, typed) => vocab.filter(name => fold(name).startsWith(fold(typed)))

function render({model, el}) {
  const {vocab, items, urls, keys} = model.get('data')
  const live = !!model.send // a page without a kernel cannot write anything down
  let at = 0
  let typed = ''
  let past = []
  let mine = false

  // What is chosen: undefined is as it was, '' is set aside, anything else is another label
  const chosen = i => model.get('choices')[items[i].row]
  const name = i => items[i].name.split('/').pop()
  function put(i, value) {
    const now = {...model.get('choices')}
    if (value === undefined) delete now[items[i].row]
    else now[items[i].row] = value
    mine = true
    model.set('choices', now)
    model.save_changes()
    mine = false
    draw(i)
  }
  function choose(i, value) {
    forget()
    if (value === items[i].label) value = undefined
    if (!live || value === chosen(i)) return draw(i)
    past.push([i, chosen(i)])
    put(i, value)
    undo.disabled = false
  }
  function back() {
    forget()
    const last = past.pop()
    undo.disabled = !past.length
    if (!last) return say('Nothing to undo.')
    go(last[0], true)
    put(...last)
  }

  // One picture
  function card(i) {
    const {label, said, loss} = items[i]
    const img = make('img', {alt: '', src: urls[i]})
    img.onload = () => img.classList.toggle('tiny', img.naturalWidth <= 48)
    const mark = make('span', {class: 'cc-mark', 'aria-hidden': 'true'})
    const hint = make('span', {class: 'cc-hint'})
    const select = make(
      'select',
      {
        'aria-label': `label of ${items[i].name}`,
        'data-lm-suppress-shortcuts': 'true',
        disabled: live ? null : '',
        change: () => choose(i, select.value),
        focus: () => go(i)
      },
      make('option', {value: '', hidden: ''}, '(set aside)'),
      ...vocab.map(v => make('option', {value: v}, v))
    )
    const aside = make(
      'button',
      {
        type: 'button',
        'aria-pressed': 'false',
        disabled: live ? null : '',
        focus: () => go(i),
        click: () => choose(i, chosen(i) === '' ? undefined : '')
      },
      'set aside'
    )
    const node = make(
      'div',
      {class: 'cc-card', role: 'group', tabindex: -1, focus: () => go(i)},
      make('div', {class: 'cc-picture', mousedown: () => node.focus()}, img, mark, hint),
      make('div', {class: 'cc-name', title: items[i].name}, name(i)),
      make(
        'div',
        {class: 'cc-said'},
        ...[`labelled ${label}`, `called ${said}`, `loss ${num(loss, 3)}`].map(text => make('div', {}, text))
      ),
      select,
      aside
    )
    return {node, mark, hint, select, aside}
  }
  function draw(i) {
    const c = cards[i]
    const now = chosen(i)
    const {label, said, loss} = items[i]
    const state = now === undefined ? '' : now === '' ? 'set aside' : `now ${now}`
    c.node.className = `cc-card${now === undefined ? '' : now === '' ? ' aside' : ' changed'}`
    write(c.mark, state && (now === '' ? '✕ set aside' : `✎ ${now}`))
    c.select.value = now === undefined ? label : now
    set(c.aside, {'aria-pressed': now === ''})
    write(c.aside, now === '' ? 'take back' : 'set aside')
    set(c.node, {
      'aria-label': [
        `${i + 1} of ${items.length}: ${items[i].name}, labelled ${label}`,
        `called ${said}, loss ${num(loss, 3)}`,
        state
      ]
        .filter(Boolean)
        .join(', ')
    })
  }

  // Moving: one picture at a time is reached by the Tab key
  function go(i, focus) {
    if (i !== at) forget()
    at = i
    cards.forEach((c, k) => [c.node, c.select, c.aside].forEach(n => n.setAttribute('tabindex', k === at ? 0 : -1)))
    if (focus) cards[at].node.focus()
  }
  const columns = () => Math.max(1, cards.filter(c => c.node.offsetTop === cards[0].node.offsetTop).length)

  // Keys: letters spell a label
  const settle = later(900, () => {
    const [first] = matching(vocab, typed)
    if (typed && first) choose(at, first)
  })
  function forget() {
    typed = ''
    settle.drop()
    cards.forEach(c => write(c.hint, ''))
  }
  function spell(letter) {
    typed += letter
    const found = matching(vocab, typed)
    if (!found.length) {
      say(`No label begins with “${typed}”.`, true)
      return forget()
    }
    if (found.length === 1) return choose(at, found[0])
    write(cards[at].hint, `${typed}… ${found[0]}?`)
    say(`${typed}: ${found.slice(0, 4).join(', ')}${found.length > 4 ? ` and ${found.length - 4} more` : ''}`)
    settle()
  }
  const moves = {
    ArrowRight: () => 1,
    ArrowLeft: () => -1,
    ArrowDown: columns,
    ArrowUp: () => -columns(),
    Home: () => -items.length,
    End: () => items.length
  }
  function key(e) {
    const plain = !e.ctrlKey && !e.metaKey && !e.altKey
    if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === 'z') back()
    else if (e.target !== cards[at].node || !plain) return
    else if (moves[e.key]) go(clamp(at + moves[e.key](), 0, items.length - 1), true)
    else if (!live) return
    else if (e.key === 'Delete' || (e.key === 'Backspace' && !typed)) choose(at, '')
    else if (e.key === 'Backspace' || e.key === 'Escape') forget()
    else if (e.key === 'Enter') choose(at, typed ? matching(vocab, typed)[0] : items[at].label)
    else if (e.key.length === 1 && (e.key !== ' ' || typed)) spell(e.key)
    else if (e.key !== ' ') return
    e.preventDefault()
  }

  const undo = button('undo', back)
  const cards = items.map((_, i) => card(i))
  const {say} = shell(
    el,
    make('div', {class: 'ch-bar'}, undo),
    make(
      'div',
      {class: 'cc-grid', role: 'group', 'aria-label': 'Pictures to look at', keydown: key},
      ...cards.map(c => c.node)
    ),
    make('div', {class: 'ch-key'}, live ? keys : '')
  )
  undo.disabled = true
  const told = () => {
    const text = model.get('said')
    if (text) say(text, text.startsWith('!'))
  }
  const redraw = () => items.forEach((_, i) => draw(i))
  const chose = () => {
    if (!mine) {
      past = []
      undo.disabled = true
    }
    redraw()
  }
  const heard = {'change:choices': chose, 'change:said': told}
  for (const event in heard) model.on(event, heard[event])
  redraw()
  go(0)
  live
    ? told()
    : say('To relabel pictures or to set them aside, run the cell: this page has no kernel that could write it down.')
  return () => {
    settle.drop()
    for (const event in heard) model.off(event, heard[event])
  }
}
export default {render}
export {matching}
