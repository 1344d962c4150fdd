// Search, filter, zoom and keys of the diagram. The picture is whole without it. Texts from outside
// go to the page as text only.
'use strict';
(() => {
  const by = id => document.getElementById(id);
  const all = (what, where = document) => [...where.querySelectorAll(what)];
  const names = JSON.parse(by('names').textContent);
  const pic = document.querySelector('svg.pic'), times = document.querySelector('svg.times');
  const pan = document.querySelector('.pan'), heads = document.querySelector('.names');
  const track = document.querySelector('.track'), cursor = document.querySelector('.cursor');
  const tools = document.querySelector('.tools'), now = document.querySelector('.now');
  const list = text => (text ? text.split(' ').map(Number) : []);

  // The events in the order of time, each on a row of its own.
  const events = all('.e', pic).map((node, index) => ({
    node, index, y: +node.getAttribute('y'), lane: node.dataset.l, kind: node.dataset.k,
    messages: list(node.dataset.m), destination: node.dataset.d, shards: node.dataset.s ? node.dataset.s.split(' ') : [],
    text: node.querySelector('title').textContent,
    convicts: node.classList.contains('convicts') || node.classList.contains('verdict'),
  }));
  for (const it of events) {
    const more = it.messages.map(m => names.messages[m]).concat(names.destinations[it.destination] || []);
    it.label = it.node.querySelector('text');
    it.isLeft = it.label.getAttribute('text-anchor') === 'end';
    it.words = (it.text + ' ' + it.kind + ' ' + more.join(' ')).toLowerCase();
  }
  const arrows = all('.a', pic).map(node => ({
    node, points: list(node.dataset.p), message: node.dataset.m === undefined ? -1 : +node.dataset.m,
    lanes: [],
  }));
  const spans = all('.span', pic);
  const height = +pic.getAttribute('height');
  const LANE = 30;

  // Everything that has a height moves by one function of it: rows that are shown keep their
  // distance times the zoom, rows that are not have none.
  const moved = [];
  const keep = (node, names) => {
    for (const name of names) if (node.hasAttribute(name)) moved.push([node, name, +node.getAttribute(name)]);
  };
  for (const it of events) keep(it.node, ['y']);
  for (const it of all('.a line, line.lane', pic)) keep(it, ['y1', 'y2']);
  const boxes = all('rect.band, rect.span', pic).map(node => {
    const y = +node.getAttribute('y');
    return [node, y, y + +node.getAttribute('height')];
  });
  const labels = all('text', times).map(node => [node, +node.getAttribute('y'), node.classList.contains('pause')]);

  // What stands on a lane, by the part of the width that it was drawn at.
  const lanes = all('b', track), sideways = [];
  const laneOf = part => Math.round(parseFloat(part) / 100 * lanes.length - 0.5);
  for (const node of all('.e, .first, .span, .band, .lane, .a line', pic)) {
    for (const name of ['x', 'x1', 'x2']) {
      const part = node.getAttribute(name);
      if (!part || !part.endsWith('%')) continue;
      const isBand = node.classList.contains('band');
      sideways.push([node, name, isBand ? laneOf(parseFloat(part) + 50 / lanes.length) : laneOf(part), isBand]);
    }
  }
  for (const it of arrows) {
    const mine = new Set(all('line', it.node));
    it.lanes = sideways.filter(([node]) => mine.has(node)).map(([, , lane]) => lane);
  }
  // Lanes that have nothing to do with what is shown make room for those that have.
  const narrow = () => {
    const used = new Set();
    if (only) {
      for (const it of events) if (it.shown && it.lane !== undefined) used.add(+it.lane);
      for (const it of arrows) if (!it.node.classList.contains('off')) it.lanes.forEach(lane => used.add(lane));
    }
    const kept = lanes.map((_, lane) => lane).filter(lane => !only || used.size === 0 || used.has(lane));
    const place = new Map(kept.map((lane, at) => [lane, at]));
    lanes.forEach((node, lane) => node.classList.toggle('off', !place.has(lane)));
    for (const [node, name, lane, isBand] of sideways) {
      const at = place.get(lane);
      if (!node.closest('.e, .a')) node.classList.toggle('off', at === undefined);
      if (at === undefined) continue;
      node.setAttribute(name, 100 * (at + (isBand ? 0 : 0.5)) / kept.length + '%');
      if (isBand) node.setAttribute('width', 100 / kept.length + '%');
    }
    for (const it of events) {
      if (!it.shown || !it.isLeft) continue;
      const room = (place.get(+it.lane) + 0.5) / kept.length * Math.max(pan.clientWidth, kept.length * LANE);
      const fits = !only || it.label.textContent.length * 6.3 + 10 < room;
      it.label.setAttribute('x', fits ? -8 : 8);
      it.label.setAttribute('text-anchor', fits ? 'end' : 'start');
    }
    pic.style.minWidth = track.style.minWidth = kept.length * LANE + 'px';
  };

  let zoom = 1, only = null, chosen = -1, hits = [], searched = '';

  const isShown = it => {
    if (!only) return true;
    if (only.message !== undefined) return it.messages.includes(only.message) || only.around(it);
    return it.destination === only.destination || only.around(it);
  };

  const draw = () => {
    const froms = [0], tos = [0], rows = [];
    let y = 0, last = 0;
    for (const it of events) {
      it.shown = isShown(it);
      it.node.classList.toggle('off', !it.shown);
      const step = it.index === 0 ? it.y : it.y - last;
      last = it.y;
      if (it.shown) {
        // After rows that are hidden one is as far away as from a neighbour.
        y += it.index === 0 || rows.length === 0 ? Math.max(it.index ? 42 : it.y, 0) : Math.max(18, step) * zoom;
        rows.push(it);
        froms.push(it.y);
        tos.push(y);
      }
      it.now = y;
    }
    froms.push(height);
    tos.push(y + 22);
    const to = from => {
      let low = 0, high = froms.length - 1;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (froms[middle] <= from) low = middle; else high = middle;
      }
      const span = froms[high] - froms[low];
      const near = from - froms[low];
      // What stands a little beside a row stays so, whatever the zoom.
      if (span > 0 && near <= 14 && tos[high] - tos[low] > near) return tos[low] + near;
      if (span > 0 && froms[high] - from <= 14 && tos[high] - tos[low] > froms[high] - from) return tos[high] - (froms[high] - from);
      return span > 0 ? tos[low] + (tos[high] - tos[low]) * near / span : tos[low];
    };
    for (const [node, name, from] of moved) node.setAttribute(name, to(from));
    for (const [node, from, end] of boxes) {
      node.setAttribute('y', to(from));
      node.setAttribute('height', Math.max(2, to(end) - to(from)));
    }
    const shownAt = new Set(rows.map(it => Math.round(it.now)));
    let above = -99;
    for (const [node, from, isPause] of labels) {
      const at = isPause ? to(from - 4) : to(from - 4);
      const isThere = isPause ? !only : shownAt.has(Math.round(at)) && at - above > 11;
      node.classList.toggle('off', !isThere);
      node.setAttribute('y', at + 4);
      if (isThere && !isPause) above = at;
    }
    for (const it of arrows) {
      const mine = !only || (only.message !== undefined
        ? it.message === only.message || (it.message < 0 && it.points.every(p => events[p].shown))
        : it.points.every(p => events[p].shown));
      it.node.classList.toggle('off', !mine);
    }
    narrow();
    for (const it of spans) it.classList.toggle('faint', !!only && it.dataset.s !== undefined && only.shards && !only.shards.has(it.dataset.s));
    for (const it of [pic, times]) {
      it.setAttribute('height', y + 22);
      it.style.height = y + 22 + 'px';
    }
    const width = zoom > 1 ? Math.round(100 * Math.sqrt(zoom)) + '%' : '';
    pic.style.width = track.style.width = width;
    point();
  };

  const point = () => {
    const it = events[chosen];
    cursor.setAttribute('y', it && it.shown ? it.now - 9 : -99);
  };

  const button = (text, title, isSet, act) => {
    const it = document.createElement('button');
    it.textContent = text;
    it.title = title;
    it.className = isSet ? 'set' : '';
    it.onclick = act;
    return it;
  };

  const tell = () => {
    const it = events[chosen];
    now.hidden = !it && !only;
    document.body.classList.toggle('scripted', !now.hidden);
    by('told').textContent = it ? it.text : '';
    const buttons = [];
    if (only) buttons.push(button('✕ ' + only.name, 'show all again (Esc)', true, back));
    if (it && (!only || only.message === undefined)) {
      for (const message of it.messages.slice(0, 2)) {
        buttons.push(button(names.messages[message], 'only this message (m)', false, () => follow(message)));
      }
    }
    if (it && it.destination !== undefined && !only) {
      const name = names.destinations[it.destination];
      buttons.push(button(name, 'only this destination (d)', false, () => toDestination(it.destination)));
    }
    document.querySelector('.only').replaceChildren(...buttons);
  };

  const show = (it, still) => {
    const bar = tools.offsetHeight + 30, below = now.hidden ? 20 : now.offsetHeight + 20;
    const top = pic.getBoundingClientRect().top + it.now;
    if (!still || top < bar || top > innerHeight - below) {
      scrollBy({ top: top - (bar + innerHeight - below) / 2, behavior: 'instant' });
    }
    const mark = it.node.firstElementChild.nextElementSibling.getBoundingClientRect();
    const frame = pan.getBoundingClientRect();
    if (it.lane !== undefined && (mark.left < frame.left + 20 || mark.right > frame.right - 20)) {
      pan.scrollLeft += mark.left - frame.left - frame.width / 2;
    }
  };

  const choose = (index, still) => {
    if (index < 0 || index >= events.length) return;
    chosen = index;
    tell();
    point();
    show(events[index], still);
  };

  // The next shown event in a direction of which this holds.
  const step = (by, holds = () => true) => {
    let at = chosen;
    if (at < 0 && by < 0) at = events.length;
    for (at += by; at >= 0 && at < events.length; at += by) {
      if (events[at].shown && holds(events[at])) return choose(at, true);
    }
  };

  // Faults, ends of nodes, and what becomes of the leaders of these shards while a message lives.
  const around = holds => {
    const mine = events.filter(holds);
    if (mine.length === 0) return { around: () => false, shards: new Set() };
    const first = mine[0].index, last = mine[mine.length - 1].index;
    const shards = new Set(mine.flatMap(it => it.shards));
    const kinds = ['votes', 'changes of leaders', 'snapshots and copies'];
    const always = ['faults', 'starts and ends of nodes', 'changes of the cluster', 'verdicts'];
    return {
      shards,
      around: it => it.kind === 'verdicts' || (it.index >= first && it.index <= last
        && (always.includes(it.kind) || (kinds.includes(it.kind) && it.shards.some(shard => shards.has(shard))))),
    };
  };

  const set = wanted => {
    only = wanted;
    for (const it of events) it.shown = isShown(it);
    if (chosen < 0 || !events[chosen].shown) {
      const first = events.find(it => it.shown);
      chosen = first ? first.index : -1;
    }
    draw();
    tell();
    if (chosen >= 0) show(events[chosen]);
  };
  const follow = message => set({ message, name: names.messages[message], ...around(it => it.messages.includes(message)) });
  const toDestination = destination => set({ destination, name: names.destinations[destination], ...around(it => it.destination === destination) });

  const back = () => {
    if (only) return set(null);
    if (searched) { by('find').value = ''; return search(''); }
    chosen = -1;
    tell();
    point();
  };

  const search = text => {
    searched = text.trim().toLowerCase();
    const words = searched.split(/\s+/).filter(it => it);
    hits = [];
    for (const it of events) {
      const lane = it.lane === undefined ? '' : names.lanes[it.lane].toLowerCase();
      const found = words.length > 0 && words.every(word => it.words.includes(word) || lane === word);
      it.node.classList.toggle('hit', found);
      if (found) hits.push(it.index);
    }
    tools.classList.toggle('found', words.length > 0);
    const at = hits.indexOf(chosen);
    by('hits').textContent = words.length ? (at >= 0 ? at + 1 + '/' : '') + hits.length : '';
  };
  const match = by => {
    const there = hits.filter(it => events[it].shown);
    if (there.length === 0) return;
    const next = by > 0 ? there.find(it => it > chosen) : there.findLast(it => it < (chosen < 0 ? Infinity : chosen));
    choose(next === undefined ? there[by > 0 ? 0 : there.length - 1] : next);
    search(searched);
  };

  const scale = (to, x, y) => {
    to = Math.min(8, Math.max(0.5, to));
    if (to === zoom) return;
    const frame = pic.getBoundingClientRect();
    const at = y === undefined ? innerHeight / 2 : y;
    const left = x === undefined ? frame.left + frame.width / 2 : x;
    // What is at this height stays there.
    const kept = events.filter(it => it.shown);
    const near = kept.reduce((best, it) => Math.abs(frame.top + it.now - at) < Math.abs(frame.top + best.now - at) ? it : best, kept[0]);
    const before = near ? near.now : 0, part = (left - frame.left) / frame.width;
    zoom = to;
    draw();
    if (near) scrollBy({ top: near.now - before, behavior: 'instant' });
    const after = pic.getBoundingClientRect();
    pan.scrollLeft += after.left + part * after.width - left;
  };

  pan.addEventListener('scroll', () => { heads.scrollLeft = pan.scrollLeft; });
  pic.addEventListener('click', event => {
    const arrow = event.target.closest('.a'), mark = event.target.closest('.e');
    if (arrow) {
      const it = arrows.find(it => it.node === arrow);
      chosen = it.points[0];
      if (it.message >= 0) return follow(it.message);
      return choose(chosen, true);
    }
    const y = event.clientY - pic.getBoundingClientRect().top;
    const near = events.filter(it => it.shown).reduce((best, it) =>
      !best || Math.abs(it.now - y) < Math.abs(best.now - y) ? it : best, null);
    const it = mark ? events.find(it => it.node === mark) : near;
    if (!it) return;
    chosen = it.index;
    if (mark && it.messages.length === 1 && (!only || only.message === undefined)) return follow(it.messages[0]);
    choose(it.index, true);
  });
  addEventListener('wheel', event => {
    if (!event.ctrlKey || !event.target.closest('#diagram')) return;
    event.preventDefault();
    scale(zoom * Math.exp(-event.deltaY / 300), event.clientX, event.clientY);
  }, { passive: false });
  let pinch = null;
  const apart = ([one, other]) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
  pic.addEventListener('touchstart', event => {
    if (event.touches.length === 2) pinch = { apart: apart(event.touches), zoom };
  }, { passive: true });
  pic.addEventListener('touchmove', event => {
    if (!pinch || event.touches.length !== 2) return;
    event.preventDefault();
    const [one, other] = event.touches;
    scale(pinch.zoom * apart(event.touches) / pinch.apart, (one.clientX + other.clientX) / 2, (one.clientY + other.clientY) / 2);
  }, { passive: false });
  pic.addEventListener('touchend', () => { pinch = null; }, { passive: true });

  const find = by('find');
  find.addEventListener('input', () => search(find.value));
  find.addEventListener('keydown', event => {
    if (event.key === 'Enter') { match(event.shiftKey ? -1 : 1); event.preventDefault(); }
    if (event.key === 'Escape') { find.value = ''; search(''); find.blur(); }
    event.stopPropagation();
  });
  by('next').onclick = () => match(1);
  by('prev').onclick = () => match(-1);
  by('in').onclick = () => scale(zoom * 1.4);
  by('out').onclick = () => scale(zoom / 1.4);
  by('on').onclick = () => step(1);
  by('back').onclick = () => step(-1);
  by('help').onclick = () => by('keys').showModal();

  const keys = {
    j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1),
    ArrowRight: () => step(1, it => chosen < 0 || it.lane === events[chosen].lane),
    ArrowLeft: () => step(-1, it => chosen < 0 || it.lane === events[chosen].lane),
    c: () => step(1, it => it.convicts), C: () => step(-1, it => it.convicts),
    n: () => match(1), N: () => match(-1), '/': () => { find.focus(); find.select(); },
    m: () => chosen >= 0 && events[chosen].messages.length && follow(events[chosen].messages[0]),
    d: () => chosen >= 0 && events[chosen].destination !== undefined && toDestination(events[chosen].destination),
    Escape: back, '+': () => scale(zoom * 1.4), '=': () => scale(zoom * 1.4), '-': () => scale(zoom / 1.4),
    0: () => scale(1), '?': () => by('keys').showModal(),
  };
  keys.Enter = keys.m;
  addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || by('keys').open) return;
    if (event.key === 'Enter' && event.target.closest('a, button, summary')) return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  // A link to an event selects it, though it may be filtered out now.
  const linked = () => {
    const found = /^#e(\d+)$/.exec(location.hash);
    if (!found || !events[+found[1]]) return;
    if (only && !events[+found[1]].shown) set(null);
    choose(+found[1]);
  };
  addEventListener('hashchange', linked);
  document.addEventListener('click', event => {
    const link = event.target.closest('a[href^="#e"]');
    if (link && link.hash === location.hash) linked();
  });

  tools.hidden = false;
  draw();
  const node = document.querySelector('.track .node');
  if (node) pan.scrollLeft = node.offsetLeft - track.offsetLeft - pan.clientWidth / 3;
  linked();
})();
