export default { serverExternalPackages: ['stable-video-diffusion-tfjs'] };
