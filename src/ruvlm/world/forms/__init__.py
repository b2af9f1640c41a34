"""The forms of question: each asks one random thing of a scene, or gives None where the scene has nothing to ask."""
