// Without this script, the fields are plain forms. With it, the pages search while you type.
'use strict';

(() => {
    const field = document.getElementById('q');
    const status = document.getElementById('status');
    const results = document.getElementById('results');
    const PAUSE = 120;  // milliseconds after a key
    const UNAVAILABLE = 'The search is not available now. Try again in a moment.';
    let timer, request, shown = field.value.trim(), isTyping = false;

    // Replace the results and the status by those of another address.
    async function load(url, results, status) {
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
        const found = page?.getElementById(results.id);
        results.replaceChildren(...(found?.childNodes ?? []));
        status.textContent = found ? page.getElementById(status.id).textContent.trim() : UNAVAILABLE;
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
        load(url, results, status);
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
            load(location.href, results, status);
        });
    }

    // The page of a repository: a field that filters the tags, and commands to copy.
    const filter = document.getElementById('filter');
    const tags = document.getElementById('tags');
    const count = document.getElementById('count');

    function showTags() {
        clearTimeout(timer);
        const given = [...new FormData(filter)].filter(([, value]) => value.trim());
        const url = '?' + new URLSearchParams(given);
        if (url === shown) return;
        shown = url;
        history.replaceState(null, '', url);
        load(url, tags, count);
    }

    async function copy(button) {
        const code = button.previousElementSibling;
        let isCopied = true;
        try {
            await navigator.clipboard.writeText(code.textContent);
        } catch {
            // Without https, a page has no clipboard. If this fails, too, the command is selected.
            getSelection().selectAllChildren(code);
            isCopied = document.execCommand('copy');
        }
        const word = isCopied ? 'Copied' : 'Selected';
        button.textContent = word;
        setTimeout(() => { button.textContent = 'Copy'; }, 2000);
        document.getElementById('copied').textContent = `${word}: ${code.textContent}`;
    }

    filter?.addEventListener('input', () => {
        clearTimeout(timer);
        timer = setTimeout(showTags, PAUSE);
    });
    filter?.addEventListener('submit', event => {
        event.preventDefault();
        showTags();
    });
    for (const button of document.querySelectorAll('.command button')) {
        button.hidden = false;
        button.addEventListener('click', () => copy(button));
    }

    document.addEventListener('keydown', event => {
        if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
        const own = document.getElementById('wanted') ?? field;
        const links = [...document.querySelectorAll('.repositories a, .tags a')];
        const place = links.indexOf(event.target);
        const isInField = event.target === own;
        let next = null;
        if (event.key === '/' && !event.target.matches('input, textarea')) {
            next = field;
        } else if (event.key === 'Escape' && isInField && results) {
            field.value = '';
            search();
            next = field;
        } else if (event.key === 'Escape' && place >= 0) {
            next = own;
        } else if (event.key === 'ArrowDown' && (isInField || place >= 0)) {
            next = links[place + 1];
        } else if (event.key === 'ArrowUp' && place >= 0) {
            next = links[place - 1] ?? own;
        }
        if (!next) return;
        event.preventDefault();
        next.focus();
        if (next === field || next === own) next.select();
    });
})();
