
"use strict";
(() => {
  const links = [...document.querySelectorAll("a[data-shows]")];
  const [box, stage, caption, save, close, back, on] = ["box", "stage", "caption", "save", "close", "back", "on"].map(
    (id) => document.getElementById(id)
  );
  if (!links.length || !box.showModal) return;
  let at = 0;

  function clear() {
    const video = stage.querySelector("video");
    if (video) {
      // Or it would go on loading.
      video.pause();
      video.removeAttribute("src");
      video.load();
    }
    stage.replaceChildren();
  }

  function refused() {
    const text = document.createElement("p");
    text.textContent = "This browser cannot show the file. It can be saved.";
    stage.replaceChildren(text);
  }

  function media(link) {
    if (link.dataset.shows === "video") {
      const video = document.createElement("video");
      Object.assign(video, { controls: true, autoplay: true, loop: true, playsInline: true, src: link.href });
      return video;
    }
    const image = new Image();
    // Tiny pictures are shown as the pixels they are.
    image.onload = () => image.classList.toggle("small", image.naturalWidth <= 256 && image.naturalHeight <= 256);
    image.src = link.href;
    return image;
  }

  function show(index) {
    at = (index + links.length) % links.length;
    const link = links[at];
    const name = link.querySelector(".name").textContent;
    clear();
    const element = media(link);
    if (link.dataset.shows === "image") element.alt = name;
    else element.setAttribute("aria-label", name);
    element.onerror = refused;
    stage.append(element);
    caption.textContent = links.length > 1 ? `${name} (${at + 1} of ${links.length})` : name;
    save.href = link.href;
    for (const step of [1, -1]) {
      const next = links[(at + step + links.length) % links.length];
      if (next.dataset.shows === "image") new Image().src = next.href;
    }
  }

  back.hidden = on.hidden = links.length < 2;
  back.onclick = () => show(at - 1);
  on.onclick = () => show(at + 1);
  close.onclick = () => box.close();
  box.onclose = () => {
    clear();
    links[at].focus();
  };
  stage.onclick = (event) => event.target === stage && box.close();
  box.onkeydown = (event) => {
    // In a video the arrows belong to its own controls.
    if (event.target.tagName === "VIDEO" || event.altKey || event.ctrlKey || event.metaKey || links.length < 2) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    show(at + step);
  };
  let touched = null;
  stage.addEventListener("touchstart", (event) => {
    touched = event.touches.length === 1 && event.target.tagName !== "VIDEO" ? event.touches[0].clientX : null;
  }, { passive: true });
  stage.addEventListener("touchend", (event) => {
    const moved = touched === null ? 0 : event.changedTouches[0].clientX - touched;
    touched = null;
    if (Math.abs(moved) > 50 && links.length > 1) show(at + (moved < 0 ? 1 : -1));
  });
  links.forEach((link, index) => {
    link.addEventListener("click", (event) => {
      if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      box.showModal();
      close.focus();
      show(index);
    });
  });
})();
