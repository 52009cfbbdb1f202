// Without this script, the search is a plain form. With it, the page searches while you type.
'use strict';

(() => {
    const field = document.getElementById('q');
    const status = document.getElementById('status');
    const results = document.getElementById('results');
    const PAUSE = 120;  // milliseconds after a key
    const UNAVAILABLE = 'The search is not available now. Try again in a moment.';
    let timer, request, shown = field.value.trim(), isTyping = false;

    async function load(url) {
        request?.abort();
        const own = request = new AbortController();
        results.ariaBusy = 'true';
        let page = null;
        try {
            const answer = await fetch(url, {signal: own.signal});
            page = new DOMParser().parseFromString(await answer.text(), 'text/html');
        } catch (error) {
            if (own.signal.aborted) return;
        }
        // A proxy's own error page, for example, has no results.
        const found = page?.getElementById('results');
        results.replaceChildren(...(found?.childNodes ?? []));
        status.textContent = found ? page.getElementById('status').textContent.trim() : UNAVAILABLE;
        if (found) document.title = page.title;
        results.ariaBusy = 'false';
    }

    function search() {
        clearTimeout(timer);
        const term = field.value.trim();
        if (term === shown) return;
        shown = term;
        const url = term ? '?' + new URLSearchParams({q: term}) : location.pathname;
        // One entry of the history for all keys of a term.
        history[isTyping ? 'replaceState' : 'pushState'](null, '', url);
        isTyping = true;
        load(url);
    }

    if (results) {
        field.addEventListener('input', () => {
            clearTimeout(timer);
            timer = setTimeout(search, PAUSE);
        });
        field.addEventListener('blur', () => { isTyping = false; });
        field.form.addEventListener('submit', event => {
            event.preventDefault();
            search();
            isTyping = false;
        });
        addEventListener('popstate', () => {
            clearTimeout(timer);
            field.value = new URLSearchParams(location.search).get('q') ?? '';
            shown = field.value.trim();
            isTyping = false;
            load(location.href);
        });
    }

    document.addEventListener('keydown', event => {
        if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
        const links = [...document.querySelectorAll('.repositories a')];
        const place = links.indexOf(event.target);
        const isInField = event.target === field;
        let next = null;
        if (event.key === '/' && !event.target.matches('input, textarea')) {
            next = field;
        } else if (event.key === 'Escape' && isInField && results) {
            field.value = '';
            search();
            next = field;
        } else if (event.key === 'Escape' && place >= 0) {
            next = field;
        } else if (event.key === 'ArrowDown' && (isInField || place >= 0)) {
            next = links[place + 1];
        } else if (event.key === 'ArrowUp' && place >= 0) {
            next = links[place - 1] ?? field;
        }
        if (!next) return;
        event.preventDefault();
        next.focus();
        if (next === field) field.select();
    });
})();
