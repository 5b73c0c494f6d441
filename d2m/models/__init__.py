"""The networks, their losses and their training. Models know no audio library.

losses       every loss of the paper, a function each
layers       the parts of the networks
vae          the DU-VAE: E_ini, E_mov, G_uni
gan          the MM-GAN: E_dan, G_dan, E_sty, E_mus, D_mov, D_dan
lstm         the baseline from music to poses
style        classifiers of dance and of music
rhythm       what the style of music is classified by
train        one training loop for every model, resumable
checkpoint   weights and training states on disk
"""
